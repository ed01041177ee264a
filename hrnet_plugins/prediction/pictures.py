"""The pictures that a user names: files, folders, patterns, videos."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_plugins.data.files import READ, UNREAD

VIDEOS = frozenset({'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv'})
"""Suffixes of videos."""


@dataclass(frozen=True)
class Source:
    """A picture or a video.

    Args:
        path: Its file; for pixels that are given as they are, a name for them.
        name: What its results are called: a path without suffix, of its own among all sources.
        pixels: A picture (H, W, 3), BGR, uint8, if it is given as that.
    """

    path: Path
    name: str
    pixels: Any = None

    @property
    def is_video(self) -> bool:
        """Whether it has frames."""
        return self.pixels is None and self.path.suffix.lower() in VIDEOS


def find_sources(given: Sequence[Any], *, leave_out: Path | None = None) -> list[Source]:
    """All pictures and videos that are meant, each once.

    Args:
        given: Files, folders (with those below them), patterns such as ``shots/*.jpg``, and arrays (H, W, 3) in BGR.
        leave_out: A folder that is not searched: the one that the results go to.

    Raises:
        ValueError: If there is no such file, a pattern fits none, or a folder has none.
    """
    found: dict[Any, tuple[Path, str, Any]] = {}
    for number, item in enumerate(given):
        if not isinstance(item, (str, os.PathLike)):
            found[f'array {number}'] = (Path(f'picture-{number:06d}'), f'picture-{number:06d}', _checked(item))
            continue
        for path, name in _files(os.fspath(item), leave_out):
            found.setdefault(path.resolve(), (path, name, None))
    if not found:
        raise ValueError('`pictures` ([]) must name a picture, a folder, a pattern or a video at least')
    taken: set[str] = set()
    return [Source(path, _own(name, taken), pixels) for path, name, pixels in found.values()]


def _files(text: str, leave_out: Path | None) -> Iterator[tuple[Path, str]]:
    """The files that a word means, with the names of their results."""
    path = Path(text).expanduser()
    if path.is_dir():
        inside = sorted(p for p in _below(path, leave_out) if p.suffix.lower() in READ | VIDEOS)
        if not inside:
            raise ValueError(f'`pictures` ({text}) has no picture or video in it, of {_suffixes()}')
        for file in inside:
            yield file, file.relative_to(path).with_suffix('').as_posix()
        return
    if path.is_file():
        # A file that is named is tried, whatever its suffix is.
        yield path, path.stem
        return
    if not glob.has_magic(text):
        raise ValueError(f'`pictures` ({text}) is not there')
    # Like a folder's, the names of a pattern's files keep the folders that it leaves open.
    start = Path(*path.parts[: next(i for i, part in enumerate(path.parts) if glob.has_magic(part))])
    files = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
    files = [file for file in files if file.is_file() and file.suffix.lower() in READ | UNREAD | VIDEOS]
    if not files:
        raise ValueError(f'`pictures` ({text}) fits no picture or video, of {_suffixes()}')
    for file in files:
        yield file, os.path.splitext(os.path.relpath(file, start))[0]


def _below(folder: Path, leave_out: Path | None) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, followlinks=True):
        here = Path(where)
        folders[:] = [
            name for name in folders if name[0] != '.' and (leave_out is None or (here / name).resolve() != leave_out)
        ]
        yield from (here / name for name in names if name[0] != '.')


def _suffixes() -> str:
    return ', '.join(sorted(READ | VIDEOS))


def _checked(pixels: Any) -> Any:
    shape, dtype = getattr(pixels, 'shape', None), getattr(pixels, 'dtype', None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or str(dtype) != 'uint8':
        about = f'{dtype} of shape {tuple(shape)}' if shape is not None else type(pixels).__name__
        raise ValueError(f'`pictures` ({about}) must be paths, or arrays (H, W, 3) in BGR and uint8')
    return pixels


def _own(name: str, taken: set[str]) -> str:
    """A name that no other source has, upper and lower case being one, as some file systems have it."""
    name = name.replace('..', '_').lstrip('/') or 'picture'
    own, number = name, 1
    while own.lower() in taken:
        number += 1
        own = f'{name}-{number}'
    taken.add(own.lower())
    return own
