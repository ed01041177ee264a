"""CUDA graphs: one for each input shape, up to a bound and in one pool of memory, and eager runs for the rest."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.inference.fast.lanes import CudaLanes, using
from hrnet_plugins.inference.files import Run

MAX_SHAPES = 16
"""Graphs kept for one model. Each holds the activations of its shape only while it runs, as all share a pool."""

Capture = Callable[[Run, Tensor], Run]
"""Records what a function does with images like these; what is returned does it again with others of their shape."""


class Graphs:
    """A function of images that is recorded for each shape and then replayed.

    A shape runs eagerly when it is first seen, which also is what libraries need before they are recorded; it is
    recorded at the second time. Shapes beyond the bound go on eagerly: to drop a graph for each new one would cost more
    than it gains where sizes keep changing.

    Args:
        run: The function.
        capture: How it is recorded.
        hooks: Tables of hooks, which Python runs and a graph does not: while any has some, all runs eagerly.
        max_shapes: How many shapes are recorded.
    """

    def __init__(
        self, run: Run, capture: Capture, *, hooks: Sequence[Sized] = (), max_shapes: int = MAX_SHAPES
    ) -> None:
        self.run = run
        self.capture = capture
        self.hooks = hooks
        self.max_shapes = max_shapes
        self.recorded: dict[Any, Run] = {}
        self._seen: dict[Any, None] = {}

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> the function's outputs, in memory of their own."""
        if any(self.hooks):
            return self.run(images)
        key = (
            tuple(images.shape),
            images.dtype,
            images.is_contiguous(memory_format=torch.channels_last),
            torch.is_autocast_enabled(images.device.type),
        )
        if key in self.recorded:
            return self.recorded[key](images)
        if len(self.recorded) >= self.max_shapes:
            return self.run(images)
        if key not in self._seen:
            if len(self._seen) >= 64 * self.max_shapes:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = None
            return self.run(images)
        try:
            self.recorded[key] = self.capture(self.run, images)
        except RuntimeError as error:
            warnings.warn(
                f'images of {key[0]} run without a CUDA graph, which cannot hold the model: '
                f'{error.__context__ or error}',  # the former is the cause, the latter the end of the recording
                stacklevel=2,
            )
            self.recorded[key] = self.run
        return self.recorded[key](images)


_RECORDING = threading.RLock()
"""Held while a graph is recorded: a process can record one at a time."""


class CudaCapture:
    """Records CUDA graphs into one pool of memory, with independent branches on streams of their own.

    Any thread and any stream may replay them. As they share their memory, a replay waits until the results of the one
    before are copied.
    """

    def __init__(self) -> None:
        self._replaying = threading.RLock()
        self._copied = torch.cuda.Event()
        self._pool: Any = None
        self._stream: Any = None
        self._lanes = CudaLanes()

    def __call__(self, run: Run, images: Tensor) -> Run:
        """See ``Capture``."""
        device = images.device
        with _RECORDING, self._replaying, torch.cuda.device(device):
            if self._pool is None:
                self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
            with torch.inference_mode(False):  # it is written over in other modes, too
                given = images.clone()
            graph = torch.cuda.CUDAGraph()
            before = torch.cuda.current_stream()
            try:
                # Other threads, such as those that pin batches, may allocate meanwhile.
                recording = torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode='thread_local'
                )
                with recording, using(self._lanes):
                    outputs = run(given)
            except RuntimeError:
                # What fails inside leaves the thread on the recording's stream and the pool open.
                torch.cuda.set_stream(before)
                with suppress(RuntimeError):  # unless it was closed
                    torch._C._cuda_endAllocateToPool(device.index, self._pool)
                self._pool, self._lanes = None, CudaLanes()
                raise

        def replay(images: Tensor) -> tuple[Tensor, ...]:
            with self._replaying, torch.cuda.device(device):
                torch.cuda.current_stream().wait_event(self._copied)
                given.copy_(images)
                graph.replay()
                results = tuple(output.clone() for output in outputs)  # the next replay writes over the outputs
                self._copied.record()
                return results

        return replay
