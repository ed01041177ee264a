"""What the runtimes of traced programs share."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from torch.export import ExportedProgram

from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.part import Part, Run
from hrnet_plugins.inference.precision import device_of
from hrnet_plugins.inference.tracing import trace


def compile_traced(part: Part, dtype: torch.dtype, start: Callable[[ExportedProgram], Run]) -> Run:
    """Trace a part and start it in a runtime. Images below ``part.min_size`` run in PyTorch.

    Args:
        part: What to run.
        dtype: Precision to trace it in.
        start: Prepares the traced program to run.
    """
    small = optimize(part.module, dtype)
    fast = start(trace(part, dtype))

    def run(images: Tensor) -> tuple[Tensor, ...]:
        if min(images.shape[2:]) < part.min_size:
            return small(images.to(dtype, memory_format=torch.channels_last))
        return fast(images)

    return run


def check_supported(
    part: Part, dtype: torch.dtype, backend: str, precisions: Collection[torch.dtype], *, only_cpu: bool
) -> None:
    """Check that a backend can run a part on its device, in a precision.

    Raises:
        ValueError: If it cannot, with what to do.
    """
    if dtype not in precisions:
        known = ', '.join(map(str, precisions))
        raise ValueError(f'`dtype` ({dtype}) is not what backend={backend!r} computes in; known: {known}')
    device = device_of(part.module)
    if only_cpu and device.type != 'cpu':
        raise ValueError(
            f"`backend` ({backend!r}) runs on the CPU, the model is on {device}: move it with .cpu(), or use 'eager'"
        )
