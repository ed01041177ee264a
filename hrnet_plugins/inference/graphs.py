"""CUDA graphs: one for each input shape, up to a bound and in one pool of memory, and eager runs for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
        max_shapes: How many shapes are recorded.
    """

    def __init__(self, run: Run, capture: Capture, *, max_shapes: int = MAX_SHAPES) -> None:
        self.run = run
        self.capture = capture
        self.max_shapes = max_shapes
        self.recorded: dict[Any, Run] = {}
        self._seen: dict[Any, None] = {}

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, C, H, W) -> the function's outputs, in memory of their own."""
        key = tuple(images.shape), images.dtype, images.is_contiguous(memory_format=torch.channels_last)
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
                f'images of {key[0]} run without a CUDA graph, which cannot hold the model: {error}', stacklevel=2
            )
            self.recorded[key] = self.run
        return self.recorded[key](images)


class CudaCapture:
    """Records CUDA graphs into one pool of memory, with independent branches on streams of their own."""

    def __init__(self) -> None:
        self._pool: Any = None
        self._lanes = CudaLanes()

    def __call__(self, run: Run, images: Tensor) -> Run:
        """See ``Capture``."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        given = images.clone()
        graph = torch.cuda.CUDAGraph()
        # Other threads, such as those that pin batches, may allocate meanwhile.
        recording = torch.cuda.graph(graph, pool=self._pool, capture_error_mode='thread_local')
        with torch.cuda.device(images.device), recording, using(self._lanes):
            outputs = run(given)

        def replay(images: Tensor) -> tuple[Tensor, ...]:
            given.copy_(images)
            graph.replay()
            return tuple(output.clone() for output in outputs)  # the next replay of any graph writes over them

        return replay
