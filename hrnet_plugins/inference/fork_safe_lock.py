"""A lock that a forked process finds open, whoever held it when the process was forked."""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType


class ForkSafeLock:
    """A reentrant lock, used in ``with``.

    A fork copies only the thread that forks. A lock that another thread holds at that moment would stay locked in the
    new process for ever, so every lock of this class is replaced there. What it guards may then be half done: whoever
    uses it writes the last step last.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _LOCKS.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.RLock()


_LOCKS: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in tuple(_LOCKS):
        lock._renew()


if hasattr(os, 'register_at_fork'):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_all)
