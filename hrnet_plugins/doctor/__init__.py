"""What ``hrnet-plugins doctor`` says of an installation: what it is made of, and whether it computes right.

Each section is a function that gives findings. A finding that is wrong makes the command fail.
"""

from __future__ import annotations

import importlib
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hrnet_plugins import __version__, environment, processor

_NEEDED = ('mmengine', 'mmcv')
"""What the backbone and the neck need; the frameworks are needed for recipes only."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        title: What it is about.
        text: What was found.
        wrong: Whether something has to be mended; the text then says how.
    """

    title: str
    text: str
    wrong: bool = False


def examine() -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """The sections of the report, each with its findings, as they are found. A section that breaks off is wrong."""
    for title, section in SECTIONS.items():
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what is imported; it is not what is asked here
            try:
                yield title, tuple(section())
            except Exception as error:
                text = f'could not be examined: {type(error).__name__}: {error}'
                yield title, (Finding(title, text, wrong=True),)


def _versions() -> Iterator[Finding]:
    commit = environment.commit_of(Path(__file__).parent)
    yield Finding('hrnet_plugins', __version__ + (f', commit {commit}' if commit != 'unknown' else ''))
    yield Finding('Python', f'{platform.python_version()} on {platform.platform()}')
    for module, version in environment.versions(('torch', 'torchvision', 'numpy', 'cv2')).items():
        yield Finding(module, version)


def _stack() -> Iterator[Finding]:
    found = environment.distributions()
    stacks = {'onedl' if name.startswith('onedl-') else 'openmmlab' for name in found}
    install = "pip install 'hrnet-plugins[onedl]'"
    if len(stacks) > 1:
        text = f'both stacks are installed, and share their folders: {_listed(found)}; make a new environment'
        yield Finding('stack', text, wrong=True)
    elif stacks:
        yield Finding('stack', f'{"".join(stacks)}: {_listed(found)}')
    else:
        yield Finding('stack', f'neither onedl nor openmmlab: {install}', wrong=True)
    for module, names in environment.DISTRIBUTIONS.items():
        if any(name in found for name in names):
            try:
                importlib.import_module(module)
            except Exception as error:  # of whatever it imports
                text = f'is installed and does not import: {type(error).__name__}: {error}'
                yield Finding(module, text, wrong=True)
        elif stacks and module in _NEEDED:
            yield Finding(module, f'is not installed: {install}', wrong=True)
        elif stacks:
            yield Finding(module, f'is not installed; its recipes need it: {install}')


def _operators() -> Iterator[Finding]:
    from hrnet_plugins.mmcv_ops.install import InstallError, find, status  # noqa: PLC0415, only when asked

    try:
        mmcv = find()
    except InstallError as error:
        yield Finding('mmcv', str(error), wrong=True)
        return
    wrong = mmcv.state in ('absent', 'outdated', 'unusable', 'foreign')
    yield Finding('operators of mmcv', status(mmcv)['operators'], wrong=wrong)


def _processor() -> Iterator[Finding]:
    import torch  # noqa: PLC0415, slow to import

    sets = processor.instruction_sets()
    yield Finding('CPU', f'{processor.cpu_name()}, {os.cpu_count()} cores, PyTorch uses {torch.get_num_threads()}')
    yield Finding('memory', f'{environment.memory() / 2**30:.1f} GiB')
    yield Finding('instruction sets', ', '.join(sets) or 'not known on this system')
    yield Finding("accelerate(dtype='bf16')", _bf16_on_cpu(sets, processor.is_faster_in_bf16()))


def _bf16_on_cpu(sets: tuple[str, ...], faster: bool) -> str:
    if not faster:
        return 'computes in float32: this CPU has no fast instructions for bfloat16'
    by = 'AMX tiles' if 'amx_bf16' in sets else 'its bfloat16 instructions'
    return f'faster than float32 on this CPU, by {by}'


def _gpus() -> Iterator[Finding]:
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        built = f'PyTorch is built for CUDA {torch.version.cuda}' if torch.version.cuda else 'this PyTorch has no CUDA'
        yield Finding('GPU', f'none is seen; {built}')
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        text = f'{facts.name}, {facts.total_memory / 2**30:.0f} GiB, compute capability {facts.major}.{facts.minor}'
        fast = 'bf16 and fp16' if facts.major >= 8 else 'fp16' if facts.major >= 7 else 'nothing below float32'
        yield Finding(f'GPU {index}', f'{text}; tensor cores for {fast}')


def _weights() -> Iterator[Finding]:
    from hrnet_plugins.weights import cache, hub  # noqa: PLC0415, it imports torch
    from hrnet_plugins.weights.catalog import CATALOG  # noqa: PLC0415

    named = os.environ.get(hub.FOLDER_VARIABLE)
    folder = Path(named) if named else None
    if folder is None:
        yield Finding('own folder', f'none; {hub.FOLDER_VARIABLE} would name one')
    elif folder.is_dir():
        yield Finding('own folder', str(folder))
    else:
        yield Finding('own folder', f'{hub.FOLDER_VARIABLE} ({named}) is not a folder', wrong=True)
        return
    kept = cache.folder()
    files = [path for path in (*kept.glob('*.safetensors'), *kept.glob('files/**/*')) if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    count = f'{len(files)} file{"" if len(files) == 1 else "s"}'
    yield Finding('cache', f'{kept}, {count}, {size / 1e6:,.1f} MB')
    places = [hub.place_of(name) for name in CATALOG]
    counts = {place: places.count(place) for place in ('folder', 'cache', 'download')}
    text = f'{counts["folder"]} in the folder, {counts["cache"]} in the cache, {counts["download"]} to download'
    yield Finding('names that resolve', f'{len(places)}: {text}; `hrnet-plugins weights --probe` asks each address')


def _forwards() -> Iterator[Finding]:
    from hrnet_plugins.doctor import forward  # noqa: PLC0415, it imports torch and mmcv

    for case in forward.CASES:
        error = forward.difference(case)
        if error is not None:
            right = error <= case.tolerance
            told = 'equal to the stored reference' if right else 'NOT the stored reference: install torch again'
            yield Finding(case.name, f'{told}, {error:.0e} of the greatest value apart', wrong=not right)


def _listed(found: Mapping[str, str]) -> str:
    return ', '.join(f'{name} {version}' for name, version in found.items())


SECTIONS: Mapping[str, Callable[[], Iterator[Finding]]] = MappingProxyType(
    {
        'versions': _versions,
        'stack': _stack,
        'operators': _operators,
        'processor': _processor,
        'GPUs': _gpus,
        'weights': _weights,
        'a small forward': _forwards,
    }
)
"""The sections of the report by title, in order."""
