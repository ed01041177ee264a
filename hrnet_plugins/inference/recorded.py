"""Record what a part computes once, for every batch and size, as other runtimes take it: in files and in process."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from hrnet_plugins.inference.fast.make import mirror
from hrnet_plugins.inference.parts import Part
from hrnet_plugins.inference.patches import dynamic_shape_patches
from hrnet_plugins.inference.precision import device_of

EXAMPLE = (2, 384, 448)
"""Batch, height and width that the operations are recorded at; none is fixed by it."""

Run = Callable[[Tensor], tuple[Tensor, ...]]
"""Images (B, C, H, W) -> the part's outputs."""


def capture(part: Part, dtype: torch.dtype = torch.float32) -> ExportedProgram:
    """Record what a part computes in a precision, for every batch and every size from the smallest.

    Its batch norms are folded into its convolutions first: fewer operations to record, to convert and to run.

    Raises:
        ValueError: With the reason, if it computes something that cannot be recorded.
    """
    batch, height, width = EXAMPLE
    sizes = {0: Dim('batch'), 2: Dim('height', min=part.min_size), 3: Dim('width', min=part.min_size)}
    example = torch.zeros(batch, part.channels, height, width, dtype=dtype, device=device_of(part.module))
    folded = mirror(part.module, dtype, only_fold=True)
    try:
        with part.context(), dynamic_shape_patches(), torch.no_grad():
            return torch.export.export(folded, (example,), dynamic_shapes=(sizes,), strict=False)
    except Exception as error:
        raise ValueError(f'the model cannot be exported, torch.export does not follow it: {reason(error)}') from error


def compile_recorded(part: Part, dtype: torch.dtype, start: Callable[[ExportedProgram], Run]) -> Run:
    """Record a part and start it in a runtime; images below the recording's smallest size run in PyTorch.

    Args:
        part: What to run.
        dtype: Precision to record it in.
        start: Makes a recorded program ready to run.
    """
    small = mirror(part.module, dtype)
    fast = start(capture(part, dtype))

    def run(images: Tensor) -> tuple[Tensor, ...]:
        if min(images.shape[2:]) < part.min_size:
            return small(images.to(dtype, memory_format=torch.channels_last))
        return fast(images)

    return run


def check_supported(
    part: Part, dtype: torch.dtype, backend: str, precisions: Collection[torch.dtype], *, only_cpu: bool
) -> None:
    """Check that a backend runs a part where it is, in a precision.

    Raises:
        ValueError: If it does not, with what to do.
    """
    if dtype not in precisions:
        known = ', '.join(map(str, precisions))
        raise ValueError(f'`dtype` ({dtype}) is not what backend={backend!r} computes in; known: {known}')
    device = device_of(part.module)
    if only_cpu and device.type != 'cpu':
        raise ValueError(
            f"`backend` ({backend!r}) runs on the CPU, the model is on {device}: move it with .cpu(), or use 'eager'"
        )


def reason(error: BaseException) -> str:
    """The first line of what an exporter's error goes back to."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'
