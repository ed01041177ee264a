"""Removing what programs that were killed left behind: half-written files and folders under temporary names."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

OLD = 600.0
"""Seconds after which a temporary file that nobody has written to is left behind. Writing a model takes seconds."""


def remove_leftovers(folder: Path, pattern: str, *, age: float = OLD) -> None:
    """Remove files and folders that match a pattern and have not been written to for a while.

    Args:
        folder: Where to look, and not below.
        pattern: Of names that only temporary files of one purpose have, as for ``Path.glob``; only folders where it
            ends in ``/``.
        age: Seconds since the last change; 0 where a lock says that nobody else writes there.
    """
    with contextlib.suppress(OSError):  # what cannot be removed takes space, and does no harm
        for path in folder.glob(pattern):
            if time.time() - path.lstat().st_mtime < age:
                continue
            if pattern.endswith('/') and not path.is_dir():  # Python 3.10 gives files too
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
