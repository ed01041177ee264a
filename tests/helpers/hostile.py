# ruff: noqa: E501, a table reads best with a row a line
"""Files that try to run code when they are read, and texts that try it when they are taken for a config."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Reduced:
    """Pickled as a call of a function with arguments, and perhaps with a state."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self.call = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class Built:
    """Pickled as an object whose state is given to a ``__setstate__`` that is looked up by name."""

    def __init__(self, inside: Any) -> None:
        self.inside = inside


def payloads(trace: Path) -> dict[str, Any]:
    """Objects that make the folder ``trace`` when they are unpickled without care, by what they use for it."""
    name = str(trace)
    code = f'__import__("os").mkdir({name!r})'
    return {
        'os.mkdir': Reduced(os.mkdir, name),
        'os.system': Reduced(os.system, f'mkdir {name}'),
        'subprocess': Reduced(subprocess.call, ['mkdir', name]),
        'eval': Reduced(eval, code),
        'exec': Reduced(exec, code),
        'import': Reduced(getattr, Reduced(importlib.import_module, 'os'), 'mkdir'),
        'map': Reduced(list, Reduced(map, eval, [code])),
        'state': Reduced(Built, None, state={'inside': Reduced(os.mkdir, name)}),
        'in a list': [torch.zeros(2), [Reduced(os.mkdir, name)]],
        'numpy object': np.array([Reduced(os.mkdir, name)], dtype=object),
        'dtype state': Reduced(np.dtype, Reduced(os.mkdir, name)),
        'torch.load': Reduced(torch.load, Reduced(os.mkdir, name)),
    }


def files(folder: Path, trace: Path) -> Iterator[Path]:
    """Write hostile files: each payload in each protocol, as PyTorch writes it now and did before 1.6, and bare."""
    for what, payload in payloads(trace).items():
        for protocol in range(2, 6):
            content = {'state_dict': {'a.weight': torch.zeros(2)}, 'meta': {'x': payload}}
            stem = f'{what.replace(" ", "-")}_{protocol}'
            for kind in ('zip', 'legacy'):
                path = folder / f'{stem}_{kind}.pth'
                torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=kind == 'zip')
                yield path
        for protocol in range(6):
            path = folder / f'{what.replace(" ", "-")}_{protocol}.pdparams'
            path.write_bytes(pickle.dumps({'a.weight': np.zeros(2, np.float32), 'b': payload}, protocol))
            yield path
    for what, program in programs(trace).items():
        bare = folder / f'{what}.pkl'
        bare.write_bytes(program)
        yield bare
        packed = folder / f'{what}.pth'
        packed.write_bytes(archive({'x/data.pkl': program, 'x/version': b'3\n', 'x/byteorder': b'little'}))
        yield packed


def programs(trace: Path) -> dict[str, bytes]:
    """Pickles that no pickler writes: old opcodes, names put together on the stack and out of the memo."""
    text = str(trace).encode()
    line = b'V' + text + b'\n'
    return {
        'inst': b'\x80\x02(' + line + b'ios\nmkdir\n.',
        'obj': b'\x80\x02(cos\nmkdir\n' + line + b'o.',
        'global': b'\x80\x02cos\nmkdir\n(' + line + b'tR.',
        'nested-name': b'\x80\x04\x8c\x08builtins\x8c\x04eval\x93(' + b'V__import__("os").mkdir("' + text + b'")\ntR.',
        'from-memo': b'\x80\x04\x8c\x02os\x94\x8c\x05mkdir\x94h\x00h\x01\x93(' + line + b'tR.',
        'two-pickles': b'\x80\x02}.\x80\x02cos\nmkdir\n(' + line + b'tR.',
        'newobj': b'\x80\x02cos\nmkdir\n(' + line + b't\x81.',
        'second-of-tuple': b'\x80\x02}cos\nmkdir\n(' + line + b'tR\x86.',
    }


def archive(records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive with these records."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', compression) as packed:
        for name, content in records.items():
            packed.writestr(name, content)
    return file.getvalue()


def texts(trace: Path) -> dict[str, str]:
    """Texts of configs that run code where they are executed, or that name code to run."""
    run = f'__import__("os").mkdir({str(trace)!r})'
    return {
        'import': f'import os\nos.mkdir({str(trace)!r})\n',
        'from': f'from os import mkdir\nmkdir({str(trace)!r})\n',
        'call': f'a = {run}\n',
        'in a dict': f'model = dict(a={run})\n',
        'in a list': f'model = dict(a=[1, {run}])\n',
        'key': f'model = {{{run}: 1}}\n',
        'comprehension': f'a = [{run} for _ in (1,)]\n',
        'lambda': f'a = (lambda: {run})()\n',
        'f-string': f"a = f'{{{run}}}'\n",
        'condition': f'if True:\n    {run}\n',
        'def': f'def f(x={run}):\n    pass\n',
        'class': f'class A:\n    {run}\n',
        'star': f'a = dict(**{run})\n',
        'docstring': f'"""text"""\n{run}\n',
        'dict shadowed': f'dict = {run}\n',
        'annotation': f'a: {run} = 1\n',
        'augmented': f'a = 1\na += {run}\n',
        'base': "_base_ = './evil.py'\n",
        'custom import': "custom_imports = dict(imports=['evil'])\n",
        'custom import of a submodule': "custom_imports = dict(imports='os.path')\n",
        'type subprocess': f"model = dict(type='subprocess.call', args=['mkdir', {str(trace)!r}])\n",
        'type os.mkdir': f"model = dict(type='os.mkdir', path={str(trace)!r})\n",
        'type through a module': f"model = dict(type='mmengine.utils.package_utils.subprocess.call', args=[{str(trace)!r}])\n",
        'type of a module': "model = dict(type='antigravity')\n",
        'type load': "model = dict(type='mmengine.load', file='evil.pkl')\n",
        'nms': f'model = dict(test_cfg=dict(nms=dict(type={run!r}, iou_threshold=0.5)))\n',
        'warp mode': f'model = dict(warp_mode={run!r})\n',
        'scope': "default_scope = 'evil'\n",
        'inner scope': "model = dict(type='A', _scope_='evil')\n",
        'substitution': "a = '{{ $HOME:x }}'\n",
        'reference': "a = '{{ fileDirname }}'\n",
        'no python': 'a = = 1\n',
        'deep': 'a = ' + '[' * 3000 + ']' * 3000 + '\n',
        'long number': 'a = ' + '9' * 10_000 + '\n',
    }
