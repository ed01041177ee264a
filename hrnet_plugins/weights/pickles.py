"""Pickles of NumPy arrays, such as PaddleClas ``.pdparams``, read without running anything they ask for."""

from __future__ import annotations

import math
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.limits import SHARED, SPARE

_TORCH_PICKLES = 5
"""A file that PyTorch wrote before 1.6 starts with this many."""


def pickle_globals(path: Path) -> list[str]:
    """Functions and classes that the pickles at the start of a file name, read without running anything.

    Raises:
        Exception: Whatever ``pickletools`` says if the file holds no whole pickle.
    """
    found: set[str] = set()
    with path.open('rb') as file:
        for _ in range(_TORCH_PICKLES):
            found |= _globals_of_one(pickletools.genops(file))
            if file.read(1) != b'\x80':
                break
            file.seek(-1, 1)
    return sorted(found)


def _globals_of_one(opcodes: Any) -> set[str]:
    found: set[str] = set()
    strings: list[str] = ['', '']
    memo: dict[int, str | None] = {}
    latest: str | None = None  # the string that the last opcode pushed
    for opcode, argument, _ in opcodes:
        if opcode.name == 'MEMOIZE':
            memo[len(memo)] = latest
        elif opcode.name.endswith('PUT'):
            memo[int(argument)] = latest
        else:
            latest = argument if isinstance(argument, str) else None
            if opcode.name.endswith('GET'):
                latest = memo.get(int(argument))
            if opcode.name in ('GLOBAL', 'INST'):
                found.add(str(argument).replace(' ', '.'))
            elif opcode.name == 'STACK_GLOBAL':
                found.add('.'.join(strings[-2:]))
            elif latest is not None:
                strings.append(latest)
    return found


NAME_TABLE = 'StructuredToParameterName@@'
"""An entry that ``paddle.save`` adds: Paddle's internal names of the parameters."""

_DTYPES = dict(f2=torch.float16, f4=torch.float32, f8=torch.float64, i4=torch.int32, i8=torch.int64)


class _DType:
    """Stands for ``numpy.dtype``: its code, and after BUILD its byte order."""

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str) or code.lstrip('<') not in _DTYPES:
            raise pickle.UnpicklingError(f'an array of type {code!r}')
        self.dtype = _DTYPES[code.lstrip('<')]
        self.order = '<'

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for ``numpy.ndarray``: has its data after BUILD."""

    data: bytes | bytearray
    dtype: torch.dtype
    shape: tuple[int, ...]
    fortran: bool

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.set(data, dtype, shape, 'F' if fortran else 'C')

    def set(self, data: Any, dtype: _DType, shape: tuple[int, ...], order: str) -> _Array:
        if dtype.order not in '<|=' or not isinstance(data, (bytes, bytearray)):
            raise pickle.UnpicklingError('an array that is not plain little-endian numbers')
        if len(data) != math.prod(shape) * dtype.dtype.itemsize:
            raise pickle.UnpicklingError('an array with more or less data than its shape needs')
        self.data, self.dtype, self.shape, self.fortran = data, dtype.dtype, tuple(shape), order == 'F'
        return self

    def tensor(self) -> Tensor:
        """A tensor with its own copy of the data, in the order of PyTorch."""
        dtype = self.dtype
        flat = torch.frombuffer(bytearray(self.data), dtype=dtype) if self.data else torch.empty(0, dtype=dtype)
        if self.fortran:
            return flat.reshape(self.shape[::-1]).permute(*reversed(range(len(self.shape)))).contiguous()
        return flat.reshape(self.shape)


def _encoder() -> Callable[[str, str], bytes]:
    """Stands for ``_codecs.encode``, with which pickles of protocol 2 write bytes."""

    def encode(text: str, encoding: str) -> bytes:
        if encoding != 'latin1':
            raise pickle.UnpicklingError(f'text in {encoding!r}')
        return text.encode('latin1')

    return encode


_ARRAYS: dict[str, Callable[[], Any]] = {
    '_codecs.encode': _encoder,
    '__builtin__.bytes': lambda: lambda: b'',  # protocol 2 writes no data so
    'numpy.dtype': lambda: type('dtype', (_DType,), {}),
    'numpy.ndarray': lambda: type('ndarray', (), {}),
    'numpy.core.multiarray._reconstruct': lambda: lambda *_: _Array(),
    'numpy._core.multiarray._reconstruct': lambda: lambda *_: _Array(),
    'numpy.core.numeric._frombuffer': lambda: lambda *args: _Array().set(*args),  # protocol 5
    'numpy._core.numeric._frombuffer': lambda: lambda *args: _Array().set(*args),
}
"""All that a pickle may name, each a stand-in of ours made anew: no function of the file's choosing ever runs."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f'{module}.{name}' not in _ARRAYS:
            raise pickle.UnpicklingError(f'{module}.{name}')
        return _ARRAYS[f'{module}.{name}']()


def foreign_globals(path: Path) -> list[str]:
    """What a pickle names beside NumPy arrays of numbers."""
    return [name for name in pickle_globals(path) if name not in _ARRAYS]


def read_arrays(path: Path) -> State:
    """Read a pickled dict of NumPy arrays, such as ``paddle.save`` writes, running no code of the file's choosing.

    Raises:
        pickle.UnpicklingError: If the file holds or asks for anything else.
    """
    with path.open('rb') as file:
        content = _ArrayUnpickler(file).load()
    if not isinstance(content, dict):
        raise pickle.UnpicklingError(f'a {type(content).__name__}, not a dict')
    content.pop(NAME_TABLE, None)
    wrong = [str(key) for key, value in content.items() if not isinstance(value, _Array) or not hasattr(value, 'data')]
    if wrong:
        raise pickle.UnpicklingError(f'entries that are no arrays: {", ".join(wrong)}')
    total, size = sum(len(value.data) for value in content.values()), path.stat().st_size
    if total > SHARED * size + SPARE:  # one bytes object may be the data of many arrays
        raise pickle.UnpicklingError(f'arrays of {total:,} bytes together, in a file of {size:,}')
    return {str(key): value.tensor() for key, value in content.items()}
