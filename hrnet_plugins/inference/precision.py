"""Precisions: by name, of modules, of devices, and conversions of nested tensors from one to another."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from hrnet_plugins.processor import is_faster_in_bf16

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


def precision_on(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """The precision to compute in on a device: ``dtype``, or float32 where bfloat16 would be slower and less exact.

    That is so on a CPU that does not multiply faster in bfloat16, and is logged.

    Raises:
        ValueError: For float16 on a CPU without instructions for it.
    """
    if dtype == torch.bfloat16 and device.type == 'cpu' and not is_faster_in_bf16():
        print_log(
            'This CPU has no fast instructions for bfloat16, so the accelerated model computes in float32, which is '
            'faster here and more exact',
            logger='current',
            level=logging.WARNING,
        )
        return torch.float32
    if dtype == torch.float16 and device.type == 'cpu' and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        raise ValueError(
            '`dtype` (torch.float16) is slower than float32 on this CPU, which has no instructions for it: use '
            'torch.bfloat16, or move the model to a GPU'
        )
    return dtype


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
