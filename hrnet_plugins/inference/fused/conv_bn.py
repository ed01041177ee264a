"""A convolution and the batch norm after it as one convolution. Shape legend: B batch, C channels, h x w map size."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN_CONVS = ('Conv2d',)


class FusedConv(nn.Module):
    """A convolution whose weight and bias include its batch norm, for inference.

    Args:
        weight: (C_out, C_in / groups, k, k), batch norm included.
        bias: (C_out,), batch norm included, or ``None``.
        conv: The convolution that gives stride, padding, dilation and groups.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> None:
        super().__init__()
        self.register_buffer('weight', weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer('bias', bias)
        self.geometry: dict[str, Any] = dict(
            stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, ., .)."""
        return F.conv2d(x, self.weight, self.bias, **self.geometry)

    def with_relu(self, x: Tensor) -> Tensor:
        """The ReLU of the convolution: (B, C_in, h, w) -> (B, C_out, ., .)."""
        return self(x).relu_()

    def add_relu_(self, total: Tensor, x: Tensor) -> Tensor:
        """The ReLU of ``total`` (B, C_out, ., .) plus the convolution of ``x``, in the memory of ``total``."""
        return total.add_(self(x)).relu_()


def can_fuse(conv: Any, norm: nn.Module) -> bool:
    """True when the norm, in eval mode, is a constant scale and shift of each output channel of a plain convolution."""
    constant = isinstance(norm, nn.Identity) or (isinstance(norm, _BatchNorm) and norm.running_mean is not None)
    return constant and is_plain_conv(conv) and not has_hooks(norm)


def is_plain_conv(conv: nn.Module) -> TypeGuard[nn.Conv2d]:
    """True for torch's or mmcv's own 2-D convolution with zero padding, without hooks and without parametrisation."""
    return (
        isinstance(conv, nn.Conv2d)
        and type(conv).__name__ in _PLAIN_CONVS
        and type(conv).__module__.partition('.')[0] in ('torch', 'mmcv')
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not torch.nn.utils.parametrize.is_parametrized(conv)
        and not has_hooks(conv)
    )


def fuse_conv_bn(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the fused convolution, computed in float64, returned in the convolution's own precision."""
    if not isinstance(norm, _BatchNorm):
        return conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    scale = torch.rsqrt(var.double() + norm.eps)  # (C_out,)
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -mean.double() if conv.bias is None else conv.bias.detach().double() - mean.double()
    bias = shift * scale
    if norm.bias is not None:
        bias = bias + norm.bias.detach().double()
    weight = conv.weight.detach().double() * scale[:, None, None, None]
    return weight.to(conv.weight.dtype), bias.to(conv.weight.dtype)


def pad_channels(weight: Tensor, bias: Tensor | None, multiple: int, *, inputs: bool) -> tuple[Tensor, Tensor | None]:
    """Weight and bias with zero channels added, up to a multiple of ``multiple``.

    Outputs do not change: a zero channel stays zero through ReLU, sums and resizing, and the next convolution
    multiplies it by zero.

    Args:
        weight: (C_out, C_in, k, k).
        bias: (C_out,), or ``None``.
        multiple: What the channel counts become multiples of.
        inputs: Also add input channels.
    """
    c_out, c_in = weight.shape[:2]
    more_in = -c_in % multiple if inputs else 0
    more_out = -c_out % multiple
    weight = F.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
    return weight, None if bias is None else F.pad(bias, (0, more_out))


def has_hooks(module: nn.Module) -> bool:
    """True when hooks would see the inputs or outputs of the module."""
    return bool(module._forward_pre_hooks or module._forward_hooks)
