"""Convolution and batch norm as one convolution. Shape legend: B batch, C channels, h x w size of a map."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN_CONVS = ('Conv2d',)
_ONEDNN: Mapping[torch.dtype, Callable[[], bool]] = MappingProxyType(
    {
        torch.float32: lambda: True,
        torch.bfloat16: lambda: bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        torch.float16: lambda: bool(torch.ops.mkldnn._is_mkldnn_fp16_supported()),
    }
)
"""What oneDNN computes in, and whether this CPU has the instructions."""
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
        return self.orders.run(x, self._weight, self.bias)

    def with_relu(self, x: Tensor) -> Tensor:
        """See ``FoldedConv``."""
        return self.orders.run(x, self._weight, self.bias, 'relu')

    def onto(self, total: Tensor, x: Tensor) -> Tensor:
        """See ``FoldedConv``."""
        return self.orders.run_onto(total, x, self._weight, self.bias)

    def _weight(self) -> Tensor:
        return self.weight


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

    def run(self, x: Tensor, weight: Callable[[], Tensor], bias: Tensor | None, last: str = 'none') -> Tensor:
        """The convolution with the weight that is asked for once a shape; ``last`` is ``'none'`` or ``'relu'``."""
        packed = self._packed(x.shape, weight)
        return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *self.geometry, last, [], '')

    def run_onto(self, total: Tensor, x: Tensor, weight: Callable[[], Tensor], bias: Tensor | None) -> Tensor:
        """The ReLU of its sum with ``total``, which is written over."""
        packed = self._packed(x.shape, weight)
        onto = torch.ops.mkldnn._convolution_pointwise_.binary
        return onto(total, x, packed, bias, *self.geometry, 'add', 1.0, 'relu', [], '')

    def _packed(self, shape: torch.Size, weight: Callable[[], Tensor]) -> Tensor:
        found = self._found.get(shape)
        if found is None:
            new = torch.ops.mkldnn._reorder_convolution_weight(weight(), *self.geometry, shape)
            known = {id(tensor): tensor for tensor in list(self._found.values())}.values()  # threads may add some
            if len(self._found) == MAX_SHAPES:
                self._found.clear()
            found = next((tensor for tensor in known if _bytes(tensor) == _bytes(new)), new)
            self._found[shape] = found
        return found


def _bytes(packed: Tensor) -> bytes:
    return ctypes.string_at(torch.ops.mkldnn.data_ptr(packed), torch.ops.mkldnn._nbytes(packed))


def convolution(weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> FoldedConv:
    """The fastest there is for a device and precision."""
    return (PackedConv if packs(weight) else FoldedConv)(weight, bias, conv)


def packs(weight: Tensor) -> bool:
    """Whether oneDNN has an order of its own for the weights."""
    known = weight.device.type == 'cpu' and torch.backends.mkldnn.is_available()
    return known and weight.dtype in _ONEDNN and _ONEDNN[weight.dtype]()


def foldable(conv: Any, norm: nn.Module) -> bool:
    """Whether a norm in eval mode is a fixed scale and shift of the outputs of a convolution without tricks."""
    fixed = isinstance(norm, nn.Identity) or (isinstance(norm, _BatchNorm) and norm.running_mean is not None)
    return fixed and is_plain_conv(conv) and not hooked(norm)


def is_plain_conv(conv: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is torch's or mmcv's own 2-D convolution, padded with zeros, without hooks that make its weight."""
    return (
        isinstance(conv, nn.Conv2d)
        and type(conv).__name__ in _PLAIN_CONVS
        and type(conv).__module__.partition('.')[0] in ('torch', 'mmcv')
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not torch.nn.utils.parametrize.is_parametrized(conv)
        and not hooked(conv)
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


def hooked(module: nn.Module) -> bool:
    """Whether it has hooks, which see what it is given or gives."""
    return bool(module._forward_pre_hooks or module._forward_hooks)
