"""A convolution and the batch norm after it as one convolution. Shape legend: B batch, C channels, h x w map size."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugins.models.conv_norm import has_hooks, is_plain_conv
from hrnet_plugins.models.feats import is_pointwise


class FusedConv(nn.Module):
    """A convolution whose weight and bias include its batch norm, for inference.

    Args:
        weight: (C_out, C_in / groups, k, k), batch norm included.
        bias: (C_out,), batch norm included, or ``None``.
        conv: What gives stride, padding, dilation and groups, such as the convolution.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: Any) -> None:
        super().__init__()
        self.register_buffer('weight', weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer('bias', bias)
        self.geometry: dict[str, Any] = dict(
            stride=conv.stride, padding=conv.padding, dilation=conv.dilation, groups=conv.groups
        )
        self._parts: dict[tuple[int, ...], list[FusedConv]] = {}

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, ., .)."""
        return F.conv2d(x, self.weight, self.bias, **self.geometry)

    def split_inputs(self, channels: Sequence[int]) -> Sequence[FusedConv] | None:
        """A convolution for the first ``channels[0]`` inputs, with the bias, one for the next, and so on.

        The sum of all is the whole one. ``None`` where that is no 1x1 convolution.
        """
        key = tuple(channels)
        geometry = SimpleNamespace(kernel_size=tuple(self.weight.shape[2:]), **self.geometry)
        if not is_pointwise(geometry):
            return None
        if key not in self._parts:
            weights = enumerate(self.weight.split(key, dim=1))
            self._parts[key] = [type(self)(part, None if i else self.bias, geometry) for i, part in weights]
        return self._parts[key]

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
