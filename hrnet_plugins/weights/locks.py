"""Waiting for another process's work on the same file: said, and only while that work goes on."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PATIENCE = 60.0
"""Seconds without a new byte after which another process's work counts as stuck. Converting a file takes seconds."""
FIRST_WORD = 2.0
"""Seconds of waiting before it is said."""

log = logging.getLogger(__name__)


class StuckError(TimeoutError):
    """Another process holds a lock and does not go on; the message names the lock."""


@contextmanager
def exclusive(lock: Path, what: str, *, work: Callable[[], int], patience: float | None = None) -> Iterator[None]:
    """Hold a lock file, after every other process that holds it.

    Args:
        lock: The lock file.
        what: What the others do, for the message: ``'hrnet://w18 is fetched'``.
        work: Bytes that their work has written so far.
        patience: Seconds without another byte after which this process waits no longer; ``None`` means ``PATIENCE``.

    Raises:
        StuckError: If another process holds the lock and nothing comes any more.
        OSError: If the lock file cannot be made.
        NotImplementedError: If the file system has no locks.
    """
    patience = PATIENCE if patience is None else patience
    held = FileLock(lock)
    try:
        held.acquire(timeout=min(FIRST_WORD, patience))
    except Timeout:
        log.warning('%s by another process, which holds %s; waiting for it', what, lock)
        _wait(held, what, work, patience)
    try:
        yield
    finally:
        held.release()


def _wait(held: FileLock, what: str, work: Callable[[], int], patience: float) -> None:
    seen, since = work(), time.monotonic()
    while True:
        try:
            held.acquire(timeout=min(1.0, patience / 4))
            return
        except Timeout:
            written, now = work(), time.monotonic()
        if written != seen:
            seen, since = written, now
        elif now - since > patience:
            raise StuckError(
                f'{what} by another process, which has not gone on for {patience:g} seconds: end that process (it '
                f'holds {held.lock_file}), and try again'
            ) from None


def bytes_below(*paths: Path) -> int:
    """Bytes of files and of all that is in folders."""
    total = 0
    for path in paths:
        for file in (path, *path.rglob('*')) if path.is_dir() else (path,):
            with contextlib.suppress(OSError):  # gone since
                total += file.stat().st_size
    return total
