"""One training at a time in a work folder."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from hrnet_plugins.environment import is_running
from hrnet_plugins.training.latest import first_process_decides

_LOCK = '.training.lock'
_HOLDER = '.training.json'
_WAIT = 20.0
"""Seconds to wait for the data workers of a killed training, which hold its lock until they notice."""
_HELD: dict[Path, FileLock] = {}
"""By folder, what this process holds: it may train there again after an error."""


def hold(folder: Path) -> None:
    """Take a work folder for this training, or wait for one that is just ending.

    Args:
        folder: The work folder, which exists.

    Raises:
        ValueError: If another process trains there: which, where and since when.
    """
    first_process_decides(lambda: _take(folder.resolve()))


def release(folder: Path) -> None:
    """Give a work folder back; nothing if this process does not hold it."""
    lock = _HELD.pop(folder.resolve(), None)
    if lock is not None:
        (folder / _HOLDER).unlink(missing_ok=True)
        lock.release(force=True)


def _take(folder: Path) -> None:
    if folder in _HELD:
        return
    lock = FileLock(folder / _LOCK)
    until = time.monotonic() + _WAIT
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            holder = _holder(folder)
            if _may_run(holder) or time.monotonic() > until:
                raise ValueError(
                    f'the work folder {folder} is in use by process {holder.get("process", "?")} on '
                    f'{holder.get("host", "?")}, since {holder.get("since", "?")}: wait for it, end it, or choose '
                    'another folder with --work-dir'
                ) from None
            time.sleep(0.2)
        except (OSError, NotImplementedError) as error:  # a file system without locks, or a folder that is read-only
            logging.getLogger(__name__).warning('%s cannot be locked: %s', folder, error)
            return
    _HELD[folder] = lock
    mine = dict(process=os.getpid(), host=socket.gethostname(), since=time.strftime('%Y-%m-%d %H:%M:%S'))
    (folder / _HOLDER).write_text(json.dumps(mine))


def _holder(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / _HOLDER).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _may_run(holder: dict[str, object]) -> bool:
    """Whether the process that took the folder may still be there; another machine's cannot be asked."""
    number = holder.get('process')
    if holder.get('host') != socket.gethostname() or not isinstance(number, int):
        return holder != {}
    return is_running(number)
