"""CUDA graphs: one for each input shape, up to a limit, all in one memory pool; other shapes run eagerly."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.inference.fused.streams import CudaStreams, use_streams
from hrnet_plugins.inference.part import Run

MAX_GRAPHS = 16
"""Graphs kept for one model. All share one pool: a graph holds the activations of its shape only while it runs."""

Capture = Callable[[Run, Tensor], Run]
"""Captures what a function does with images; the result repeats that with other images of the same shape."""


class GraphCache:
    """A function of images that is captured for each shape and then replayed.

    The first images of a shape run eagerly, which libraries need before a capture; the second are captured. Shapes
    beyond the limit run eagerly always: where sizes keep changing, replacing graphs would cost more than it gains.

    Args:
        run: The function.
        capture: Captures it.
        hooks: Tables of hooks. A graph would not run them: while any table has a hook, everything runs eagerly.
        max_graphs: How many shapes are captured.
    """

    def __init__(
        self, run: Run, capture: Capture, *, hooks: Sequence[Sized] = (), max_graphs: int = MAX_GRAPHS
    ) -> None:
        self.run = run
        self.capture = capture
        self.hooks = hooks
        self.max_graphs = max_graphs
        self.captured: dict[Any, Run] = {}
        self._seen: dict[Any, None] = {}
        self._filling = threading.Lock()

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> the function's outputs, which later calls do not write over."""
        if any(self.hooks):
            return self.run(images)
        key = (
            tuple(images.shape),
            images.dtype,
            images.is_contiguous(memory_format=torch.channels_last),
            torch.is_autocast_enabled(images.device.type),
        )
        if key in self.captured:
            return self.captured[key](images)
        if len(self.captured) >= self.max_graphs:
            return self.run(images)
        if key not in self._seen:
            if len(self._seen) >= 64 * self.max_graphs:
                self._seen.pop(next(iter(tuple(self._seen))), None)  # another thread may have been first
            self._seen[key] = None
            return self.run(images)
        with self._filling:  # of threads that come here at once, the first captures
            if key not in self.captured and len(self.captured) < self.max_graphs:
                self.captured[key] = self._captured(images)
        return self.captured.get(key, self.run)(images)

    def _captured(self, images: Tensor) -> Run:
        """A graph for the shape of these images, or what runs without one where the model cannot be captured."""
        try:
            return self.capture(self.run, images)
        except RuntimeError as error:
            warnings.warn(
                f'images of {tuple(images.shape)} run without a CUDA graph, which cannot hold the model: '
                f'{error.__context__ or error}',  # the context is the cause; the error itself is the end of the capture
                stacklevel=3,
            )
            return self.run


_CAPTURING = threading.RLock()
"""Held during a capture: a process can capture one graph at a time."""


class CudaCapture:
    """Captures CUDA graphs into one memory pool, with independent branches on parallel streams.

    Any thread and any stream may replay the graphs. As they share memory, a replay waits until the results of the
    previous replay are copied.
    """

    def __init__(self) -> None:
        self._replaying = threading.RLock()
        self._copied = torch.cuda.Event()
        self._pool: Any = None
        self._stream: Any = None
        self._branch_streams = CudaStreams()

    def __call__(self, run: Run, images: Tensor) -> Run:
        """See ``Capture``."""
        device = images.device
        with _CAPTURING, self._replaying, torch.cuda.device(device):
            if self._pool is None:
                self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()
            with torch.inference_mode(False):  # replays outside of inference mode write to it, too
                inputs = images.clone()
            graph = torch.cuda.CUDAGraph()
            before = torch.cuda.current_stream()
            try:
                # Other threads, such as those that pin batches, may allocate meanwhile.
                capturing = torch.cuda.graph(
                    graph, pool=self._pool, stream=self._stream, capture_error_mode='thread_local'
                )
                with capturing, use_streams(self._branch_streams):
                    outputs = run(inputs)
            except RuntimeError:
                # An error inside leaves the thread on the stream of the capture, and the pool open.
                torch.cuda.set_stream(before)
                with suppress(RuntimeError):  # unless it was closed
                    torch._C._cuda_endAllocateToPool(device.index, self._pool)
                self._pool, self._branch_streams = None, CudaStreams()
                raise

        def replay(images: Tensor) -> tuple[Tensor, ...]:
            with self._replaying, torch.cuda.device(device):
                torch.cuda.current_stream().wait_event(self._copied)
                inputs.copy_(images)
                graph.replay()
                results = tuple(output.clone() for output in outputs)  # the next replay writes over the outputs
                self._copied.record()
                return results

        return replay
