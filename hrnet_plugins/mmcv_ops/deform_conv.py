"""Deformable convolution, https://arxiv.org/abs/1703.06211, and with a mask, https://arxiv.org/abs/1811.11168.

Shapes: input (B, C, H, W), weight (O, C / groups, kernel height, kernel width), offset (B, 2 * deformable groups *
kernel height * kernel width, output height, output width) as y, x of each point, mask with half as many channels,
output (B, O, output height, output width). mmcv's buffers (``columns``, ``ones``) and ``im2col_step`` are not needed.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torchvision  # noqa: F401, it registers its operators
from torch import Tensor

from hrnet_plugins.mmcv_ops.dtypes import computing_dtype


class _Geometry(NamedTuple):
    """Of a convolution, in the order of torchvision's operators."""

    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    dilation_h: int
    dilation_w: int
    groups: int
    deform_groups: int


class _Gradients(NamedTuple):
    """What torchvision's backward returns."""

    input: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor


def _forward(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: _Geometry,
) -> Tensor:
    tensors = _inputs(input, weight, offset, mask, bias)
    return torch.ops.torchvision.deform_conv2d(*tensors, *geometry, mask is not None)


def _backward(
    grad_output: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    geometry: _Geometry,
) -> _Gradients:
    tensors = _inputs(input, weight, offset, mask, bias)
    gradients = _Gradients(
        *torch.ops.torchvision._deform_conv2d_backward(
            grad_output.to(tensors[0].dtype).contiguous(), *tensors, *geometry, mask is not None
        )
    )
    gradients.offset.masked_fill_(_just_outside(tensors[2], weight.shape[2:], geometry), 0)
    return gradients


def _just_outside(offset: Tensor, kernel: tuple[int, ...], geometry: _Geometry) -> Tensor:
    """Where a point is one cell above or left of the map, as many are while offsets are zero: shaped as the offset.

    There the output has a kink. torchvision gives the gradient of the map's side, mmcv that of the outside, 0.
    """
    arange = partial(torch.arange, device=offset.device)
    rows, columns = (
        arange(k)[:, None] * dilation + arange(out) * stride - pad
        for k, out, stride, pad, dilation in zip(kernel, offset.shape[2:], geometry[:2], geometry[2:4], geometry[4:6])
    )  # (kernel, output)
    points = offset.view(len(offset), geometry.deform_groups, *kernel, 2, *offset.shape[2:])
    y, x = points.unbind(4)  # (B, deformable groups, kernel height, kernel width, output height, output width)
    outside = (y + rows[:, None, :, None] == -1) | (x + columns[:, None, :] == -1)
    return outside.unsqueeze(4).expand_as(points).reshape_as(offset)


def _inputs(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
) -> list[Tensor]:
    """The inputs in one type, with stand-ins for those that are not there."""
    mask = input.new_zeros((len(input), 1)) if mask is None else mask
    bias = input.new_zeros(len(weight)) if bias is None else bias
    return [tensor.to(computing_dtype(input)) for tensor in (input, weight, offset, mask, bias)]


@torch.no_grad()
def deform_conv_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,  # noqa: N803, mmcv's names
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the convolution without mask and bias into ``output``."""
    geometry = _Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    output.copy_(_forward(input, weight, offset, None, None, geometry))


@torch.no_grad()
def deform_conv_backward_input(
    input: Tensor,  # noqa: A002, mmcv's name
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,  # noqa: N803, mmcv's names
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Add the gradient by the input to ``grad_input``, and write that by the offset into ``grad_offset``."""
    geometry = _Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    gradients = _backward(grad_output, input, weight, offset, None, None, geometry)
    grad_input.add_(gradients.input)
    grad_offset.copy_(gradients.offset)


@torch.no_grad()
def deform_conv_backward_parameters(
    input: Tensor,  # noqa: A002, mmcv's name
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,  # noqa: N803, mmcv's names
    kH: int,  # noqa: N803
    dW: int,  # noqa: N803
    dH: int,  # noqa: N803
    padW: int,  # noqa: N803
    padH: int,  # noqa: N803
    dilationW: int,  # noqa: N803
    dilationH: int,  # noqa: N803
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add ``scale`` times the gradient by the weight, which does not depend on the weight, to ``grad_weight``."""
    geometry = _Geometry(dH, dW, padH, padW, dilationH, dilationW, group, deformable_group)
    weight = torch.zeros_like(grad_weight)
    gradients = _backward(grad_output, input, weight, offset, None, None, geometry)
    grad_weight.add_(gradients.weight, alpha=scale)


@torch.no_grad()
def modulated_deform_conv_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the convolution with a mask, and a bias if ``with_bias``, into ``output``."""
    geometry = _Geometry(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    output.copy_(_forward(input, weight, offset, mask, bias if with_bias else None, geometry))


@torch.no_grad()
def modulated_deform_conv_backward(
    input: Tensor,  # noqa: A002, mmcv's name
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Add the gradients by input, weight and bias to theirs, and write those by offset and mask into theirs."""
    geometry = _Geometry(stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, group, deformable_group)
    gradients = _backward(grad_output, input, weight, offset, mask, bias if with_bias else None, geometry)
    grad_input.add_(gradients.input)
    grad_weight.add_(gradients.weight)
    grad_offset.copy_(gradients.offset)
    grad_mask.copy_(gradients.mask)
    if with_bias:
        grad_bias.add_(gradients.bias)
