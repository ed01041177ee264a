"""Convolutions on CPUs in oneDNN's private weight layouts. Shape legend: B batch, C channels, h x w map size."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugins.inference.fused.conv_bn import FusedConv

MAX_CACHED_SHAPES = 256
"""Map shapes that a cache remembers, the newest. Few shapes need a layout of their own; the others share one."""

_SUPPORTED: Mapping[torch.dtype, Callable[[], bool]] = MappingProxyType(
    {
        torch.float32: lambda: True,
        torch.bfloat16: lambda: bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()),
        torch.float16: lambda: bool(torch.ops.mkldnn._is_mkldnn_fp16_supported()),
    }
)
"""The precisions that oneDNN computes in, and whether this CPU has instructions for them."""


class PackedConv(FusedConv):
    """A fused convolution on a CPU, with packed weights.

    oneDNN adds the sum and applies the ReLU in the convolution's own pass over memory.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> None:
        super().__init__(weight, bias, conv)
        self.packed = PackedWeightCache(conv.padding, conv.stride, conv.dilation, conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """See ``FusedConv``."""
        return self.packed.run(x, self._weight, self.bias)

    def with_relu(self, x: Tensor) -> Tensor:
        """See ``FusedConv``."""
        return self.packed.run(x, self._weight, self.bias, 'relu')

    def add_relu_(self, total: Tensor, x: Tensor) -> Tensor:
        """See ``FusedConv``."""
        return self.packed.run_add_relu_(total, x, self._weight, self.bias)

    def _weight(self) -> Tensor:
        return self.weight


class PackedWeightCache:
    """The weight of one convolution, packed in the layout that oneDNN wants for each map shape.

    With a weight in another layout oneDNN packs it in every call, which can take ten times as long as the convolution.

    Args:
        geometry: Padding, stride, dilation and groups of the convolution.
    """

    def __init__(self, *geometry: Any) -> None:
        self.geometry = geometry
        self._by_shape: dict[torch.Size, Tensor] = {}

    def run(self, x: Tensor, weight: Callable[[], Tensor], bias: Tensor | None, activation: str = 'none') -> Tensor:
        """Convolve.

        Args:
            x: (B, C_in, h, w).
            weight: Gives the weight (C_out, C_in / groups, k, k); called once for each map shape.
            bias: (C_out,), or ``None``.
            activation: ``'none'`` or ``'relu'``, applied to the output.
        """
        packed = self._packed(x.shape, weight)
        return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *self.geometry, activation, [], '')

    def run_add_relu_(self, total: Tensor, x: Tensor, weight: Callable[[], Tensor], bias: Tensor | None) -> Tensor:
        """Convolve, add ``total`` and apply ReLU, all written into the memory of ``total``."""
        packed = self._packed(x.shape, weight)
        add_ = torch.ops.mkldnn._convolution_pointwise_.binary
        return add_(total, x, packed, bias, *self.geometry, 'add', 1.0, 'relu', [], '')

    def _packed(self, shape: torch.Size, weight: Callable[[], Tensor]) -> Tensor:
        found = self._by_shape.get(shape)
        if found is None:
            new = torch.ops.mkldnn._reorder_convolution_weight(weight(), *self.geometry, shape)
            before = self._by_shape  # replaced as a whole: other threads read it, and may replace it too
            known = {id(tensor): tensor for tensor in before.values()}.values()
            found = next((tensor for tensor in known if _bytes(tensor) == _bytes(new)), new)
            newest = list(before.items())[1 - MAX_CACHED_SHAPES :]
            self._by_shape = {**dict(newest), shape: found}
        return found


def _bytes(packed: Tensor) -> bytes:
    return ctypes.string_at(torch.ops.mkldnn.data_ptr(packed), torch.ops.mkldnn._nbytes(packed))


def direct_conv(weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> FusedConv:
    """The fastest direct convolution for the weight's device and precision."""
    return (PackedConv if supports_packed_weights(weight) else FusedConv)(weight, bias, conv)


def supports_packed_weights(weight: Tensor) -> bool:
    """True when oneDNN can pack the weight: on a CPU, in a precision that the CPU has instructions for."""
    known = weight.device.type == 'cpu' and torch.backends.mkldnn.is_available()
    return known and weight.dtype in _SUPPORTED and _SUPPORTED[weight.dtype]()
