"""Temporary changes to other libraries, without which they cannot trace or convert a model for every input size.

A change is in place while any thread is inside its context, and only that thread notices it: the changed code asks a
context variable. Each change names the versions it is for, and ``tests/inference/test_patches.py`` fails once the
library no longer needs it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from torch import _meta_registrations

from hrnet_plugins.models.hrfpn import use_eager_pooling

IsActive = Callable[[], bool]
"""True inside the context, for the thread that entered it."""
Install = Callable[[IsActive], Callable[[], None]]
"""Changes a library, and returns the function that undoes the change."""


class Patch:
    """A change that several threads may need at the same time, entering and leaving in any order.

    Args:
        install: Makes the change. It is called by the first thread that enters, and undone by the last that leaves.
    """

    def __init__(self, install: Install) -> None:
        self._install = install
        self._active: ContextVar[bool] = ContextVar(install.__name__, default=False)
        self._lock = threading.Lock()
        self._users = 0
        self._undo: Callable[[], None] = _nothing

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The context inside which the change is seen."""
        with self._lock:
            if self._users == 0:
                self._undo = self._install(self._active.get)
            self._users += 1
        token = self._active.set(True)
        try:
            yield
        finally:
            self._active.reset(token)
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._undo()


def dynamic_shape_patches() -> AbstractContextManager[None]:
    """Inside it torch traces pooling for every size, HRFPN pools as in eager mode, and copies do not warn."""
    return _dynamic_shape_patches()


def without_resize_warning() -> AbstractContextManager[None]:
    """Inside it mmseg's ``resize`` gives no advice about sizes.

    To give it, ``resize`` converts the sizes to numbers, which fixes them in a trace. Needs mmseg.
    """
    return _RESIZE.applied()


@contextmanager
def _dynamic_shape_patches() -> Iterator[None]:
    with _POOLED_SIZE.applied(), _LEAF_SPEC.applied(), use_eager_pooling():
        yield


def _divide_pooled_sizes(is_active: IsActive) -> Callable[[], None]:
    """For torch 2.11: its rule for pooled sizes asks whether the window divides the map, which fixes the answer.

    The rule rounds a quotient down and corrects for truncation, which Python's ``//`` does not need.
    """
    original = _meta_registrations.div_rtn

    def div_rtn(x: Any, y: Any) -> Any:
        return x // y if is_active() else original(x, y)

    _meta_registrations.div_rtn = div_rtn

    def undo() -> None:
        _meta_registrations.div_rtn = original

    return undo


def _ignore_leaf_spec(is_active: IsActive) -> Callable[[], None]:
    """For torch 2.11: its exporters copy their own tree specs, and the copy warns that its class is deprecated.

    ``warnings.catch_warnings`` would restore a wrong list of filters when two threads leave in the order in which they
    entered, so one filter is added and removed.
    """

    class Message:
        def match(self, text: str) -> bool:  # all that ``warnings`` asks of a compiled pattern
            return is_active() and 'LeafSpec' in text and 'is deprecated' in text

    entry: Any = ('ignore', Message(), FutureWarning, None, 0)
    lists: list[Any] = [warnings.filters]
    lists[0].insert(0, entry)

    def undo() -> None:
        for filters in (*lists, warnings.filters):  # meanwhile somebody may have replaced the list, or will restore it
            with suppress(ValueError):
                filters.remove(entry)

    return undo


def _skip_resize_advice(is_active: IsActive) -> Callable[[], None]:
    """For mmseg 1.2 and onedl-mmsegmentation 1.4: heads import ``resize`` by name, so its default is changed."""
    from mmseg.models.utils import resize  # noqa: PLC0415, mmseg is optional

    original = resize.__defaults__
    *others, default = original

    class Warn:
        def __bool__(self) -> bool:
            return bool(default) and not is_active()

    resize.__defaults__ = (*others, Warn())

    def undo() -> None:
        resize.__defaults__ = original

    return undo


def _nothing() -> None:
    pass


_POOLED_SIZE = Patch(_divide_pooled_sizes)
_LEAF_SPEC = Patch(_ignore_leaf_spec)
_RESIZE = Patch(_skip_resize_advice)
