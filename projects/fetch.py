"""Fetch a folder of a published archive."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from hrnet_plugins.weights.download import DownloadError, download


def fetch(url: str, inside: str, folder: Path) -> Path:
    """Download a zip file and put one of its folders in place, whole or not at all.

    Args:
        url: The archive's address.
        inside: The folder in it that is kept, without the archive's own topmost folder.
        folder: Where it goes; left as it is if it is there.

    Returns:
        The folder.

    Raises:
        DownloadError: If the archive cannot be had.
        ValueError: If it has no such folder, or names files outside of itself.
    """
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f'{folder.name}.') as place:
        archive = download(url, Path(place) / 'archive.zip')
        part = Path(place) / 'part'
        with zipfile.ZipFile(archive) as files:
            for info in files.infolist():
                path = PurePosixPath(*PurePosixPath(info.filename).parts[1:])
                if info.is_dir() or not path.is_relative_to(inside):
                    continue
                if '..' in path.parts:
                    raise ValueError(f'{url} names a file outside of itself: {info.filename}')
                target = part / path.relative_to(inside)
                target.parent.mkdir(parents=True, exist_ok=True)
                with files.open(info) as read, target.open('wb') as written:
                    shutil.copyfileobj(read, written)
        if not part.exists():
            raise ValueError(f'{url} has no folder {inside}')
        part.rename(folder)
    return folder


def main(url: str, inside: str, folder: Path) -> None:
    """Fetch for the command line: what goes wrong is one line."""
    try:
        print(fetch(url, inside, folder))
    except (DownloadError, ValueError, zipfile.BadZipFile) as error:
        sys.exit(f'{url}: {error}')
