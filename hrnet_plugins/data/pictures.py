"""What the first bytes of pictures say, for many at once."""

from __future__ import annotations

import os
import struct
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hrnet_plugins.data.content import Header

In = TypeVar('In')
Out = TypeVar('Out')

_ORIENTATION = 0x0112
_PATIENCE = 5
"""Seconds without a line of output, after which a bar appears."""
_WIDE_MODES = ('I', 'I;16', 'I;16B', 'I;16L', 'F')


def in_threads(work: Callable[[In], Out], items: Iterable[In], *, what: str) -> list[Out]:
    """``work`` of each item, in threads and in order; a progress bar where it takes more than five seconds."""
    todo = list(items)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=len(todo))
    silent_until = time.monotonic() + _PATIENCE
    done = []
    try:
        # Filters of warnings are the whole process's: threads that set and restore their own would mix them up.
        with warnings.catch_warnings(), ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as pool:
            warnings.simplefilter('ignore')  # Pillow's, of damaged EXIF blocks and very large pictures
            for result in pool.map(work, todo):
                done.append(result)
                bar.advance(task)
                if not bar.live.is_started and time.monotonic() > silent_until:
                    bar.start()
    finally:
        if bar.live.is_started:  # else it would print an empty line
            bar.stop()
    return done


def header(path: Path) -> Header:
    """The header of a picture; the picture itself is decoded only where its end is missing. Pillow may warn."""
    try:
        with Image.open(path) as picture:
            # Pillow would decode a whole PNG to look for it behind the pixels.
            has_exif = picture.format != 'PNG' or 'exif' in picture.info
            orientation = picture.getexif().get(_ORIENTATION, 1) if has_exif else 1
            found = Header(
                size=picture.size,
                mode=picture.mode,
                bits=_bits(path, picture),
                orientation=orientation if orientation in range(1, 9) else 1,
            )
            if not _has_end(path, picture.format):
                picture.load()
    except FileNotFoundError:
        return Header(error='the file is not there')
    except Exception as error:  # of Pillow's many decoders
        return Header(error=f'{type(error).__name__}: {error}'.splitlines()[0])
    return found


def _bits(path: Path, picture: Image.Image) -> int:
    if picture.format == 'PNG':  # of whose colour pictures Pillow keeps 8 bits, and tells nobody
        with path.open('rb') as file:
            return max(8, struct.unpack('>B', file.read(25)[24:])[0])
    return 16 if picture.mode in _WIDE_MODES else 8


def _has_end(path: Path, kind: str | None) -> bool:
    """Whether the mark that ends a JPEG or PNG is in the last bytes; ``True`` for other formats."""
    mark = {'JPEG': b'\xff\xd9', 'PNG': b'IEND'}.get(kind or '')
    if mark is None:
        return True
    with path.open('rb') as file:
        file.seek(max(0, path.stat().st_size - 64))
        return mark in file.read()
