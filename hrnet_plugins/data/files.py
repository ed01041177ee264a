"""The files of a folder, listed once, and the names that splits and folders have in the wild."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hrnet_plugins.data.content import DataError

READ = frozenset({'.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'})
"""Suffixes of pictures that the frameworks read."""
UNREAD = frozenset({'.avif', '.dcm', '.gif', '.heic', '.heif', '.svg'})
"""Suffixes of pictures that they do not."""
MAX_DEPTH = 7
_SPLIT_WORDS = {
    'train': ('train', 'training', 'trn', 'trainset'),
    'val': ('val', 'valid', 'validation', 'dev', 'valset'),
    'test': ('test', 'testing', 'tst', 'testset'),
}
_SPLIT_OF = {word: split for split, words in _SPLIT_WORDS.items() for word in words}


def split_of(name: str) -> str | None:
    """The split that a file's or folder's name means, such as ``instances_val2017`` or ``trainannot``."""
    words = [re.sub(r'\d+$', '', word) for word in re.split(r'[^a-z0-9]+', name.lower())]
    found = {_SPLIT_OF[word] for word in words if word in _SPLIT_OF}
    if not found:
        glued = re.fullmatch(r'(train|val|test)_?(annot|annots|masks?|labels?|gt|images?|imgs?)', name.lower())
        found = {glued[1]} if glued else set()
    return found.pop() if len(found) == 1 else None


def split_of_path(path: Path, root: Path) -> str | None:
    """The split that the parts of a path below ``root`` mean, the last one first."""
    parts = path.relative_to(root).parts
    return next((split for part in reversed(parts) if (split := split_of(part))), None)


@dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Args:
        root: The folder, absolute.
        files: Names of files by folder; hidden ones and those of the frameworks' work folders are not there.
    """

    root: Path
    files: dict[Path, list[str]]

    @classmethod
    def of(cls, root: Path) -> Tree:
        """List the files below ``root``.

        Raises:
            DataError: If it is no folder or holds no file.
        """
        root = Path(os.path.abspath(root))
        if not root.exists():
            raise DataError(f'`--data` ({root}) does not exist: name the folder that holds pictures and labels')
        if not root.is_dir():
            raise DataError(f'`--data` ({root}) is a file: name the folder that holds pictures and labels')
        files = {}
        for where, folders, names in os.walk(root, followlinks=True):
            folder = Path(where)
            deep = len(folder.relative_to(root).parts) >= MAX_DEPTH
            folders[:] = [] if deep else sorted(f for f in folders if f[0] not in '._' and f != 'work_dirs')
            kept = sorted(name for name in names if name[0] != '.')
            if kept:
                files[folder] = kept
        if not files:
            raise DataError(f'`--data` ({root}) is empty: name the folder that holds pictures and labels')
        return cls(root, files)

    def named(self, *suffixes: str) -> list[Path]:
        """All files with one of these suffixes, such as ``.json``."""
        return [
            folder / name
            for folder, names in self.files.items()
            for name in names
            if os.path.splitext(name)[1].lower() in suffixes
        ]

    @cached_property
    def pictures(self) -> dict[Path, list[str]]:
        """Names of the pictures by folder, for the folders that have some, those that cannot be read included."""
        found = {
            folder: [name for name in names if os.path.splitext(name)[1].lower() in READ | UNREAD]
            for folder, names in self.files.items()
        }
        return {folder: names for folder, names in found.items() if names}

    def stems(self, folder: Path) -> dict[str, Path]:
        """The pictures of a folder by name without suffix; readable ones win where two share it."""
        if folder not in self._stems:
            names = sorted(self.pictures.get(folder, ()), key=lambda name: is_unread(Path(name)), reverse=True)
            self._stems[folder] = {os.path.splitext(name)[0]: folder / name for name in names}
        return self._stems[folder]

    @cached_property
    def _stems(self) -> dict[Path, dict[str, Path]]:
        return {}

    def below(self, folder: Path) -> list[Path]:
        """The pictures in a folder and in those below it."""
        return [
            inside / name
            for inside, names in self.pictures.items()
            if inside == folder or folder in inside.parents
            for name in names
        ]

    def relative(self, path: Path) -> str:
        """A path as seen from the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    def summary(self) -> str:
        """How many files of each kind there are, and the first folders, for an error message."""
        suffixes = Counter(os.path.splitext(name)[1].lower() or 'no suffix' for n in self.files.values() for name in n)
        kinds = ', '.join(f'{count} {suffix}' for suffix, count in suffixes.most_common(6))
        folders = [f'{self.relative(folder)}/' for folder in self.files]
        shown = ', '.join(folders[:6]) + (', ...' if len(folders) > 6 else '')
        return f'{kinds} in {len(folders)} folders: {shown}'


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have, such as one that is too long, is not an error."""
    return os.path.isfile(path)


def is_unread(path: Path) -> bool:
    """Whether the frameworks cannot read this kind of picture."""
    return path.suffix.lower() in UNREAD


def lines_of(path: Path) -> list[str]:
    """The lines of a text file.

    Raises:
        DataError: If it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding='utf-8-sig').splitlines()
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from None
    except UnicodeDecodeError as error:
        raise DataError(f'{path} cannot be read as text: save it as UTF-8 ({error})') from None


def names_of(path: Path) -> list[str]:
    """The names in a text file, one a line.

    Raises:
        DataError: If it cannot be read, or is not UTF-8.
    """
    return [line.strip() for line in lines_of(path) if line.strip()]
