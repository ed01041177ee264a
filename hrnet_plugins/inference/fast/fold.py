"""Convolution and batch norm as one convolution. Shape legend: B batch, C channels, h x w size of a map."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN_CONVS = ('Conv2d',)
_ONEDNN = (torch.float32, torch.bfloat16, torch.float16)
MAX_SHAPES = 256
"""Shapes of maps that are remembered; few have an order of their own, the others share its memory."""


class FoldedConv(nn.Module):
    """A convolution that holds its norm's scale and shift, for inference.

    Args:
        weight: (C_out, C_in / groups, k, k), norm included.
        bias: (C_out,), norm included, or ``None``.
        conv: Where stride, padding, dilation and groups are from.
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
        """The same, and a ReLU."""
        return self(x).relu_()

    def onto(self, total: Tensor, x: Tensor) -> Tensor:
        """The sum of ``total``, which is written over, and the outputs, and a ReLU."""
        return total.add_(self(x)).relu_()


class PackedConv(FoldedConv):
    """The same on a CPU: weights in oneDNN's own order, sum and ReLU in the convolution's own pass over the memory."""

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> None:
        super().__init__(weight, bias, conv)
        self.orders = Orders(conv.padding, conv.stride, conv.dilation, conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """See ``FoldedConv``."""
        return self.orders.run(x, self._packed(x), self.bias)

    def with_relu(self, x: Tensor) -> Tensor:
        """See ``FoldedConv``."""
        return self.orders.run(x, self._packed(x), self.bias, 'relu')

    def onto(self, total: Tensor, x: Tensor) -> Tensor:
        """See ``FoldedConv``."""
        run = torch.ops.mkldnn._convolution_pointwise_.binary
        return run(total, x, self._packed(x), self.bias, *self.orders.geometry, 'add', 1.0, 'relu', [], '')

    def _packed(self, x: Tensor) -> Tensor:
        return self.orders.packed(x.shape, lambda: self.weight)


class Orders:
    """Weights in the orders that oneDNN takes for maps of different shapes.

    Given another order, it brings the weights into its own in every call, which can take ten times as long as the
    convolution.

    Args:
        geometry: Padding, stride, dilation and groups.
    """

    def __init__(self, *geometry: Any) -> None:
        self.geometry = geometry
        self._found: dict[torch.Size, Tensor] = {}

    def packed(self, shape: torch.Size, weight: Callable[[], Tensor]) -> Tensor:
        """The weight in its order for maps of a shape."""
        found = self._found.get(shape)
        if found is None:
            new = torch.ops.mkldnn._reorder_convolution_weight(weight(), *self.geometry, shape)
            known = {id(tensor): tensor for tensor in self._found.values()}.values()
            if len(self._found) == MAX_SHAPES:
                self._found.clear()
            found = next((tensor for tensor in known if _bytes(tensor) == _bytes(new)), new)
            self._found[shape] = found
        return found

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None, last: str = 'none') -> Tensor:
        """The convolution with a packed weight; ``last`` is ``'none'`` or ``'relu'``."""
        return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *self.geometry, last, [], '')


def _bytes(packed: Tensor) -> bytes:
    return ctypes.string_at(torch.ops.mkldnn.data_ptr(packed), torch.ops.mkldnn._nbytes(packed))


def convolution(weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> FoldedConv:
    """The fastest there is for a device and precision."""
    return (PackedConv if packs(weight) else FoldedConv)(weight, bias, conv)


def packs(weight: Tensor) -> bool:
    """Whether oneDNN has an order of its own for the weights."""
    return weight.device.type == 'cpu' and torch.backends.mkldnn.is_available() and weight.dtype in _ONEDNN


def foldable(conv: Any, norm: nn.Module) -> bool:
    """Whether a norm in eval mode is a fixed scale and shift of the outputs of a convolution without tricks."""
    fixed = isinstance(norm, nn.Identity) or (isinstance(norm, _BatchNorm) and norm.running_mean is not None)
    return fixed and is_plain_conv(conv) and not _hooked(norm)


def is_plain_conv(conv: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is torch's or mmcv's own 2-D convolution, padded with zeros, without hooks that make its weight."""
    return (
        isinstance(conv, nn.Conv2d)
        and type(conv).__name__ in _PLAIN_CONVS
        and type(conv).__module__.partition('.')[0] in ('torch', 'mmcv')
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not torch.nn.utils.parametrize.is_parametrized(conv)
        and not _hooked(conv)
    )


def fold(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the one convolution, computed in float64 and returned in the convolution's own precision."""
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
    """Weight and bias with channels of zeros up to a multiple, among the outputs and, if asked, the inputs.

    Exact: what is zero stays zero through ReLU, sums and resizing, and adds nothing in the next convolution.
    """
    c_out, c_in = weight.shape[:2]
    more_in = -c_in % multiple if inputs else 0
    more_out = -c_out % multiple
    weight = F.pad(weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
    return weight, None if bias is None else F.pad(bias, (0, more_out))


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_pre_hooks or module._forward_hooks)
