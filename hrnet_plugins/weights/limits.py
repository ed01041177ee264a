"""Limits of what a checkpoint file may hold, so that a small file cannot ask for hours or for all memory.

Each follows from what the file has on the disk, or from what the largest model of the family has.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

MAX_ENTRIES = 20_000
"""Entries of a state dict. The largest recipe, HTC with HRNet-W48, has about 2,300."""
MAX_KEY = 300
"""Characters of a key. The longest of the published files has 75."""
SHARED = 4
"""How many times the bytes of the file its tensors may have together, where several are views of one storage."""
SPARE = 1 << 20
"""Bytes that a file of tiny tensors may exceed this by."""
_SHOWN = 6
_CHUNK = 1 << 20


class DamagedError(ValueError):
    """A file is not as its own checksums or sizes say; the message says where."""


def check_archive(path: Path) -> None:
    """Check the zip archive of a file that PyTorch wrote: nothing compressed, no overlaps, every checksum right.

    Raises:
        DamagedError: If something of that is not so.
        zipfile.BadZipFile: If it is no zip archive.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        compressed = [record.filename for record in records if record.compress_type != zipfile.ZIP_STORED]
        if compressed:
            raise DamagedError(f'its records are compressed, which PyTorch never does ({_some(compressed)})')
        if sum(record.file_size for record in records) > size:
            raise DamagedError('its records are larger than the file')
        for record in records:
            if record.CRC:  # PyTorch writes zero where its user asked for no checksums
                with archive.open(record) as file:  # raises at the end where the checksum is wrong
                    while file.read(_CHUNK):
                        pass


def check_tensors(state: Mapping[str, Tensor], size: int) -> None:
    """Check that entries are plain tensors with numbers of their own, and not more than the file can hold.

    Args:
        state: The state dict.
        size: Bytes of the file that it was read from.

    Raises:
        ValueError: Naming entries that are not, or how many there are.
    """
    if len(state) > MAX_ENTRIES:
        raise ValueError(f'{len(state):,} entries, more than the {MAX_ENTRIES:,} that any HRNet could have')
    long = [key for key in state if len(key) > MAX_KEY]
    if long:
        raise ValueError(f'keys of more than {MAX_KEY} characters ({_some(key[:40] + "..." for key in long)})')
    for title, has in _KINDS.items():
        wrong = [key for key, value in state.items() if has(value)]
        if wrong:
            raise ValueError(f'{title} ({_some(wrong)})')
    wrong = [key for key, value in state.items() if _bytes(value) > value.untyped_storage().nbytes()]
    if wrong:
        raise ValueError(f'entries with more numbers than the file has for them ({_some(wrong)})')
    total = sum(map(_bytes, state.values()))
    if total > SHARED * size + SPARE:
        raise ValueError(f'entries of {total:,} bytes together, in a file of {size:,}')


_KINDS = {
    'sparse tensors': lambda value: value.layout != torch.strided,
    'tensors without numbers (device meta)': lambda value: value.device.type == 'meta',
    'quantised tensors': lambda value: value.is_quantized,
    'nested tensors': lambda value: value.is_nested,
    'tensors of another class': lambda value: type(value) not in (Tensor, torch.nn.Parameter, torch.nn.Buffer),
}
"""What a model's state dict has no place for, in the order in which it must be asked."""


def _bytes(value: Tensor) -> int:
    return value.numel() * value.element_size()


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = [f'and {len(listed) - _SHOWN} more'] if len(listed) > _SHOWN else []
    return ', '.join([*listed[:_SHOWN], *more])
