"""Trace a part once, for every batch and size: the program that files and other runtimes are made from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.part import Part
from hrnet_plugins.inference.patches import dynamic_shape_patches
from hrnet_plugins.inference.precision import device_of

EXAMPLE_SHAPE = (2, 384, 448)
"""Batch, height and width of the traced input. The program is not limited to them."""

_EXPORTER = threading.RLock()


@contextmanager
def exporter() -> Iterator[None]:
    """The context for torch.export and for converters of its programs: one thread at a time, with dynamic shapes.

    torch 2.11 keeps the state of an export in global variables, so two exports at the same time fail.
    """
    with _EXPORTER, dynamic_shape_patches():
        yield


def trace(part: Part, dtype: torch.dtype = torch.float32) -> ExportedProgram:
    """Trace what a part computes in a precision, for every batch and every size from ``part.min_size``.

    Batch norms are fused first: fewer operations to trace, to convert and to run.

    Raises:
        ValueError: If torch.export cannot trace the part; the message has the cause.
    """
    batch, height, width = EXAMPLE_SHAPE
    sizes = {0: Dim('batch'), 2: Dim('height', min=part.min_size), 3: Dim('width', min=part.min_size)}
    example = torch.zeros(batch, part.channels, height, width, dtype=dtype, device=device_of(part.module))
    fused = optimize(part.module, dtype, only_fuse=True)
    try:
        with exporter(), part.context(), torch.no_grad():
            return torch.export.export(fused, (example,), dynamic_shapes=(sizes,), strict=False)
    except Exception as error:
        cause = root_cause(error)
        raise ValueError(f'the model cannot be exported, torch.export does not follow it: {cause}') from error


def root_cause(error: BaseException) -> str:
    """Type and first line of the exception that an exporter's error was caused by."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f'{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}'
