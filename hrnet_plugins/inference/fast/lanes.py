"""Independent pieces of work side by side, where a device gains by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

import torch

T = TypeVar('T')


class Lanes(Protocol):
    """Runs pieces of work that do not depend on each other."""

    def __call__(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """The results, in order; what is called next may use all of them."""


def in_turn(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """One after the other."""
    return [task() for task in tasks]


class CudaLanes:
    """A stream for each task, the current one for the first; they fork from it and join it by events.

    Inside a graph's capture these are the graph's parallel paths. Memory that one stream gave back may be taken by the
    same stream only, so what a task returns must be kept until the next call, which waits for all that used it.
    """

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []

    def __call__(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """See ``Lanes``."""
        current = torch.cuda.current_stream()
        while len(self._streams) < len(tasks) - 1:
            self._streams.append(torch.cuda.Stream())
        side = self._streams[: len(tasks) - 1]
        for stream in side:
            stream.wait_stream(current)
        results = [tasks[0]()]
        for stream, task in zip(side, tasks[1:]):
            with torch.cuda.stream(stream):
                results.append(task())
        for stream in side:
            current.wait_stream(stream)
        return results


_LANES: ContextVar[Lanes] = ContextVar('_LANES', default=in_turn)


def side_by_side(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run the tasks on the lanes of the surrounding ``using``; in turn without one."""
    return _LANES.get()(tasks)


@contextmanager
def using(lanes: Lanes) -> Iterator[None]:
    """Let ``side_by_side`` use these lanes."""
    token = _LANES.set(lanes)
    try:
        yield
    finally:
        _LANES.reset(token)
