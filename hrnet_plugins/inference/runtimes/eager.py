"""The default backend: PyTorch's own operators on an optimised copy of the part, with nothing to compile."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.part import Part, Run
from hrnet_plugins.inference.precision import device_of
from hrnet_plugins.inference.runtimes.cuda_graphs import CudaCapture, GraphCache

TENSOR_CORE_MULTIPLE = 8
"""Tensor cores take channels in multiples of this in 16 bit. On CPUs oneDNN is faster without: see docs/design."""


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.runtimes.backends.Compile``. On a GPU it uses CUDA graphs."""
    on_gpu = device_of(part.module).type == 'cuda'
    multiple = TENSOR_CORE_MULTIPLE if on_gpu and dtype != torch.float32 else 1
    copy = optimize(part.module, dtype, channel_multiple=multiple)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        return copy(_prepared(images, dtype))

    if not on_gpu:
        return run
    hooks = [table for m in copy.modules() for table in (m._forward_pre_hooks, m._forward_hooks)]  # the originals'
    graphs = GraphCache(run, CudaCapture(), hooks=hooks)
    return lambda images: graphs(images) if isinstance(images, Tensor) else run(images)


def _prepared(value: Any, dtype: torch.dtype) -> Any:
    """Images, or maps where the part is a neck, in a precision and channels last."""
    if isinstance(value, Tensor):
        return value.to(dtype, memory_format=torch.channels_last)
    return [_prepared(item, dtype) for item in value]
