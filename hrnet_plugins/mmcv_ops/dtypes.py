"""The number types that torchvision's operators compute in."""

from __future__ import annotations

import torch
from torch import Tensor


def computing_dtype(tensor: Tensor) -> torch.dtype:
    """The type to compute in for a tensor of this type: its own where torchvision has it, or else float32.

    torchvision has float16 on GPUs, and there is no bfloat16 in its operators. On CPUs its float16 rounds after every
    addition, which is slow and loses digits.
    """
    if tensor.dtype in (torch.float32, torch.float64) or (
        tensor.dtype == torch.float16 and tensor.device.type != 'cpu'
    ):
        return tensor.dtype
    return torch.float32
