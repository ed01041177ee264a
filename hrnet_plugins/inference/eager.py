"""The default backend: PyTorch's own operators on a folded twin of the part, ready at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.inference.fast.make import mirror
from hrnet_plugins.inference.files import Run
from hrnet_plugins.inference.graphs import CudaCapture, Graphs
from hrnet_plugins.inference.parts import Part
from hrnet_plugins.inference.precision import device_of

TENSOR_CORES = 8
"""Tensor cores take channels in multiples of this in 16 bit. oneDNN on a CPU is faster without: see CONTRIBUTING."""


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.backends.Compile``; on a GPU, CUDA graphs."""
    on_gpu = device_of(part.module).type == 'cuda'
    twin = mirror(part.module, dtype, multiple=TENSOR_CORES if on_gpu and dtype != torch.float32 else 1)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        return twin(_prepared(images, dtype))

    if not on_gpu:
        return run
    hooks = [table for m in twin.modules() for table in (m._forward_pre_hooks, m._forward_hooks)]  # the originals'
    graphs = Graphs(run, CudaCapture(), hooks=hooks)
    return lambda images: graphs(images) if isinstance(images, Tensor) else run(images)


def _prepared(value: Any, dtype: torch.dtype) -> Any:
    """Images, or maps where the part is a neck, in a precision and channels last."""
    if isinstance(value, Tensor):
        return value.to(dtype, memory_format=torch.channels_last)
    return [_prepared(item, dtype) for item in value]
