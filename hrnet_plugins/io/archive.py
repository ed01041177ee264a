"""One open zip archive a path and process, and clear errors for what can be wrong with it."""

from __future__ import annotations

import os
import threading
import zipfile
import zlib
from functools import cached_property
from pathlib import PurePosixPath

_BROKEN_MEMBER = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
_BEGINNINGS = (b'PK\x03\x04', b'PK\x05\x06')
"""What a zip file starts with: its first member, or its end where it has none."""


class Archive:
    """A zip file's members, for any number of threads; see ``archive_at`` for processes.

    Args:
        path: The archive.

    Raises:
        ValueError: If the file is no zip file, or its end is missing.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._reading = threading.Lock()  # ZipFile locks the file's position, not its count of open members
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            with open(path, 'rb') as file:
                beginning = file.read(4)
            if beginning in _BEGINNINGS:
                raise ValueError(
                    f'{path} is cut off or damaged at its end, where a zip file lists its members '
                    f'({os.path.getsize(path):,} bytes are here): fetch it again ({error})'
                ) from error
            raise ValueError(f'{path} is not a zip file, it begins with {beginning!r}: fetch it again') from error

    def read(self, member: str) -> bytes:
        """The bytes of a member, its checksum verified.

        Raises:
            FileNotFoundError: If there is no such member.
            ValueError: If it cannot be read as it was written.
        """
        try:
            info = self._zip.getinfo(member)
        except KeyError:
            known = next((name for name in self._zip.namelist() if not name.endswith('/')), None)
            has = 'it has none' if known is None else f'its first is {known}'
            raise FileNotFoundError(
                f'{self.path} has no member {member}; {has}: check `data_prefix`, which names the folder inside, too'
            ) from None
        try:
            with self._reading:
                return self._zip.read(info)
        except _BROKEN_MEMBER as error:
            raise ValueError(f'{member} in {self.path} is damaged: {error}; fetch the archive again') from error

    def is_file(self, member: str) -> bool:
        """Whether there is such a member."""
        return member in self._zip.NameToInfo

    @cached_property
    def folders(self) -> dict[str, dict[str, bool]]:
        """What each folder holds, and whether that is a folder; the archive itself is ``''``."""
        found: dict[str, dict[str, bool]] = {'': {}}
        for name in self._zip.namelist():
            path, is_folder = PurePosixPath(name), name.endswith('/')
            for parent in path.parents:
                entries = found.setdefault('' if str(parent) == '.' else str(parent), {})
                known = path.name in entries
                entries[path.name] = is_folder or entries.get(path.name, False)
                if known:
                    break
                path, is_folder = parent, True
            if name.endswith('/'):
                found.setdefault(str(PurePosixPath(name)), {})
        return found


_archives: dict[str, tuple[tuple[int, ...], Archive]] = {}
_lock = threading.Lock()


def archive_at(path: str) -> Archive:
    """The archive at a path, opened once a process and again when the file has changed.

    A forked process opens its own: two that share a file's position would read each other's members.
    """
    status = os.stat(path)
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    known = _archives.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    with _lock:
        known = _archives.get(path)
        if known is None or known[0] != stamp:
            known = _archives[path] = (stamp, Archive(path))
        return known[1]


def _start_anew() -> None:
    """Forget the parent's archives, and its lock, which another of its threads may have held at the fork."""
    global _lock  # noqa: PLW0603
    _archives.clear()
    _lock = threading.Lock()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_start_anew)
