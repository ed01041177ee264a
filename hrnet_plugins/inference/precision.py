"""Precisions: by name, of modules, of devices, and conversions of nested tensors from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
)
"""The precisions by the names that configs use."""


def dtype_of(dtype: torch.dtype | str | None) -> torch.dtype:
    """The precision that an argument asks for; ``None`` means float32.

    Raises:
        ValueError: If it is none of ``DTYPES``.
    """
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype or torch.float32
    if found is None or found not in DTYPES.values():
        raise ValueError(f'`dtype` ({dtype!r}) must be one of {", ".join(DTYPES)}, or as torch names them')
    return found


def check_device(dtype: torch.dtype, device: torch.device) -> None:
    """Check that a device computes in a precision at least as fast as in float32.

    Raises:
        ValueError: For float16 on a CPU without instructions for it.
    """
    if dtype == torch.float16 and device.type == 'cpu' and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        raise ValueError(
            '`dtype` (torch.float16) is slower than float32 on this CPU, which has no instructions for it: use '
            'torch.bfloat16, or move the model to a GPU'
        )


def precision_of(module: nn.Module) -> torch.dtype:
    """Precision of a module's weights; float32 if it has none."""
    tensors = (*module.parameters(), *module.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def device_of(module: nn.Module) -> torch.device:
    """Device of a module's tensors; the CPU if it has none."""
    return next((tensor.device for tensor in (*module.parameters(), *module.buffers())), torch.device('cpu'))


def cast(value: Any, dtype: torch.dtype) -> Any:
    """The value with its floating-point tensors converted, also those in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: cast(item, dtype) for key, item in value.items()}
    if type(value) in (tuple, list):  # no subclass: a named tuple has another constructor
        return type(value)(cast(item, dtype) for item in value)
    return value
