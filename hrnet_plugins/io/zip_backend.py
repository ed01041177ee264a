"""Reading images out of zip files: mmengine's storage backend ``zip``."""

from __future__ import annotations

import io
import os
import posixpath
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from hrnet_plugins.io.archive import Archive, archive_at

AnyPath = str | Path


def split(path: AnyPath) -> tuple[str, str] | None:
    """An archive and the member that a path names, or ``None`` for a path through no zip file.

    ``data/train2017.zip/train2017/1.jpg`` is the member ``train2017/1.jpg`` if ``data/train2017.zip`` is a file.
    The archive itself is a path like any other, and its root (``''``) with a slash at the end.
    """
    text = os.fspath(path).replace(os.sep, '/')
    end = text.find('.zip/')
    while end >= 0:
        archive, member = text[: end + 4], posixpath.normpath(text[end + 5 :].strip('/'))
        if os.path.isfile(archive):
            return archive, '' if member == '.' else member
        end = text.find('.zip/', end + 1)
    return None


@register_backend('zip')
class ZipBackend(LocalBackend):
    """Files in zip archives, read in place: ``backend_args=dict(backend='zip')``.

    A path with a component that ends in ``.zip`` and is a file means a member of it; any other path is the local
    file, so annotations may stay outside. Archives are only read. A process opens each once, whatever the number of
    backends, threads and forks; checksums are verified.

    Raises, when reading:
        FileNotFoundError: If the member is missing.
        ValueError: If the archive or the member is damaged.
        io.UnsupportedOperation: If something would write into an archive.
    """

    def get(self, filepath: AnyPath) -> bytes:
        """The bytes of a member or a file."""
        found = split(filepath)
        return super().get(filepath) if found is None else archive_at(found[0]).read(found[1])

    def get_text(self, filepath: AnyPath, encoding: str = 'utf-8') -> str:
        """The text of a member or a file."""
        if split(filepath) is None:
            return super().get_text(filepath, encoding)
        return io.TextIOWrapper(io.BytesIO(self.get(filepath)), encoding).read()

    def exists(self, filepath: AnyPath) -> bool:
        """Whether there is such a member, folder of members, file or folder."""
        return self.isfile(filepath) or self.isdir(filepath)

    def isfile(self, filepath: AnyPath) -> bool:
        """Whether there is such a member or file."""
        found = split(filepath)
        return super().isfile(filepath) if found is None else archive_at(found[0]).is_file(found[1])

    def isdir(self, filepath: AnyPath) -> bool:
        """Whether there is such a folder, in an archive or outside."""
        found = split(filepath)
        return super().isdir(filepath) if found is None else found[1] in archive_at(found[0]).folders

    def list_dir_or_file(
        self,
        dir_path: AnyPath,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
    ) -> Iterator[str]:
        """Folders and files below a path, relative to it, without the hidden ones; an archive is a folder here."""
        found = split(dir_path) or split(f'{os.fspath(dir_path)}/')
        if found is None:
            return super().list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)
        if list_dir and suffix is not None:
            raise TypeError(f'`suffix` ({suffix!r}) is for files: pass list_dir=False')
        archive = archive_at(found[0])
        if found[1] not in archive.folders:
            raise FileNotFoundError(f'{archive.path} has no folder {found[1]}')
        listed = _below(archive, found[1], recursive)
        return (
            path
            for path, is_folder in listed
            if (list_dir if is_folder else list_file and (suffix is None or path.endswith(suffix)))
        )

    @contextmanager
    def get_local_path(self, filepath: AnyPath) -> Generator[AnyPath, None, None]:
        """A path that any program can read: the file's own, or that of a copy which goes at the end."""
        found = split(filepath)
        if found is None:
            yield filepath
            return
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, posixpath.basename(found[1]))
            copy.write_bytes(self.get(filepath))
            yield str(copy)

    def put(self, obj: bytes, filepath: AnyPath) -> None:
        """Write a local file."""
        _refuse_to_write(filepath)
        super().put(obj, filepath)

    def put_text(self, obj: str, filepath: AnyPath, encoding: str = 'utf-8') -> None:
        """Write a local text file."""
        _refuse_to_write(filepath)
        super().put_text(obj, filepath, encoding)

    def remove(self, filepath: AnyPath) -> None:
        """Remove a local file."""
        _refuse_to_write(filepath)
        super().remove(filepath)

    def rmtree(self, dir_path: AnyPath) -> None:
        """Remove a local folder."""
        _refuse_to_write(dir_path)
        super().rmtree(dir_path)

    def copyfile(self, src: AnyPath, dst: AnyPath) -> AnyPath:
        """Copy a member or a file to a local file or folder; return the file."""
        _refuse_to_write(dst)
        with self.get_local_path(src) as local:
            return type(dst)(shutil.copy(local, dst))

    def copytree(self, src: AnyPath, dst: AnyPath) -> AnyPath:
        """Copy a folder, in an archive or outside, to a new local one."""
        _refuse_to_write(dst)
        if split(src) is None:
            return super().copytree(src, dst)
        os.makedirs(dst)
        for path in self.list_dir_or_file(src, recursive=True):
            if self.isdir(f'{src}/{path}'):
                os.makedirs(os.path.join(dst, path), exist_ok=True)
            else:
                self.copyfile(f'{src}/{path}', os.path.join(dst, path))
        return dst

    def copy_if_symlink_fails(self, src: AnyPath, dst: AnyPath) -> bool:
        """Link to a file or folder, or copy it where no link can be, such as out of an archive."""
        _refuse_to_write(dst)
        if split(src) is None:
            return super().copy_if_symlink_fails(src, dst)
        (self.copyfile if self.isfile(src) else self.copytree)(src, dst)
        return False


def _below(archive: Archive, folder: str, recursive: bool, prefix: str = '') -> Iterator[tuple[str, bool]]:
    for name, is_folder in archive.folders[folder].items():
        if is_folder or not name.startswith('.'):
            yield prefix + name, is_folder
        if is_folder and recursive:
            yield from _below(archive, posixpath.join(folder, name), recursive, f'{prefix}{name}/')


def _refuse_to_write(path: AnyPath) -> None:
    found = split(path)
    if found is not None:
        raise io.UnsupportedOperation(
            f'{found[1] or "/"} cannot be written or removed: zip files such as {found[0]} are only read; '
            'give a path outside, or make the archive anew'
        )
