"""Resizing of maps, with a backward that is quick on a CPU too.

PyTorch's bilinear kernels for CPUs take two to sixteen times as long for maps that are contiguous as for channels-last
ones, forward and backward. The second choose by the layout of the gradient, not by that of the map.

Shape legend: B batch, C channels, h x w size of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_plugins.models.conv_norm import is_traced

FEW = 4
"""Channels below which PyTorch's kernel for contiguous maps is the faster one."""


def resize(x: Tensor, size: Sequence[int], *, mode: str = 'bilinear', align_corners: bool | None = False) -> Tensor:
    """``interpolate`` of torch.nn.functional: (B, C, h, w) -> (B, C, *size).

    Args:
        x: A map.
        size: Height and width of the result.
        mode: ``'bilinear'`` or ``'nearest'``.
        align_corners: Of bilinear resizing; ``None`` for nearest.
    """
    if (
        mode != 'bilinear'
        or not torch.is_grad_enabled()
        or is_traced(x)
        or torch.compiler.is_compiling()
        or x.device.type != 'cpu'
        or x.shape[1] < FEW
        or not x.requires_grad
    ):
        return F.interpolate(x, size=size, mode=mode, align_corners=align_corners)
    return _Bilinear.apply(x, tuple(size), bool(align_corners))


def fast_to_resize(feats: Sequence[Tensor]) -> Sequence[Tensor]:
    """The maps in the layout in which torch resizes them fastest: channels-last on a CPU."""
    if feats[0].device.type != 'cpu':
        return feats
    return [_channels_last(x) for x in feats]


def _channels_last(x: Tensor) -> Tensor:
    """A map in that layout; in steps that ``torch.func.vmap`` can follow."""
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


class _Bilinear(torch.autograd.Function):
    """Bilinear resizing whose gradient is computed in channels-last, and has the layout of the map."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
        return F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, ctx.size, ctx.align_corners = inputs
        ctx.shape = x.shape
        ctx.contiguous = x.is_contiguous()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = torch.ops.aten.upsample_bilinear2d_backward(_channels_last(grad), ctx.size, ctx.shape, ctx.align_corners)
        return grad.contiguous() if ctx.contiguous else _channels_last(grad), None, None
