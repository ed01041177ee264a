"""Independent tasks, run one after the other or, on a GPU, on parallel CUDA streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

import torch

T = TypeVar('T')


class Streams(Protocol):
    """Runs tasks that do not depend on each other."""

    def __call__(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """Results of the tasks, in order; the next call may use all of them."""


def run_sequentially(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run one task after the other."""
    return [task() for task in tasks]


class CudaStreams:
    """One CUDA stream for each task, the current stream for the first.

    The streams fork from the current one and join it by events; in a CUDA graph they become parallel paths. Memory that
    a stream freed may be used again by the same stream only. So the results of the tasks must be kept until the next
    call, which waits for everything that used them.
    """

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []

    def __call__(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        """See ``Streams``."""
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


_STREAMS: ContextVar[Streams] = ContextVar('_STREAMS', default=run_sequentially)


def run_parallel(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """Run tasks on the streams of the surrounding ``use_streams``; without one, one after the other."""
    return _STREAMS.get()(tasks)


@contextmanager
def use_streams(streams: Streams) -> Iterator[None]:
    """Inside it ``run_parallel`` uses these streams, in this thread."""
    token = _STREAMS.set(streams)
    try:
        yield
    finally:
        _STREAMS.reset(token)
