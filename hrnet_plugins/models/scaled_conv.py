"""A convolution whose weight is multiplied with what a norm with fixed statistics multiplies with.

Source: You et al., "Tune-Mode ConvBN Blocks For Efficient Transfer Learning" (arXiv:2305.11624).
Shape legend: B batch, C channels, h x w map size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugins.models.autocast import autocast


def fixed_scale_and_shift(norm: _BatchNorm, conv_bias: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What a norm with fixed statistics multiplies and adds to a convolution without its bias, each (C,).

    Computed at least in float32, whatever the layers' precision is.

    Args:
        norm: The norm.
        conv_bias: The bias of the convolution in front of it (C,).
        dtype: The precision of the result where it is greater.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    return _scale_and_shift(torch.promote_types(dtype, torch.float32), conv_bias, *values_of(norm))


def _scale_and_shift(
    dtype: torch.dtype,
    conv_bias: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    scale = _inverse_deviation(var, eps, dtype)
    if weight is not None:
        scale = weight.to(dtype) * scale
    offset = _offset(conv_bias, mean, dtype)
    return scale, offset * scale if bias is None else torch.addcmul(bias.to(dtype), offset, scale)


def _inverse_deviation(var: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    return torch.rsqrt(var.to(dtype) + eps)


def _offset(conv_bias: Tensor | None, mean: Tensor, dtype: torch.dtype) -> Tensor:
    return -mean.to(dtype) if conv_bias is None else conv_bias.to(dtype) - mean


def values_of(norm: _BatchNorm | None) -> tuple[Any, ...]:
    """Weight, bias, mean, variance and eps of a norm, as ``ScaledConv`` takes them; all ``None`` without a norm."""
    if norm is None:
        return (None,) * 5
    return norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps


def scaled(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Each output channel of a weight (C_out, C_in / groups, k, k) times its scale (C_out,)."""
    return (weight if scale is None else weight * scale.view(-1, 1, 1, 1)).to(dtype)


def to_dtype(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A tensor, where there is one, in a precision."""
    return None if value is None else value.to(dtype)


class ScaledConv(torch.autograd.Function):
    """A convolution and a norm with fixed statistics, or a convolution alone where ``mean`` is ``None``.

    It computes in ``dtype``; its input and its output have the precision of ``x``. The input is kept where the weight
    or the norm learns. The scaled weight is not: backward scales it again.
    """

    generate_vmap_rule = True

    @classmethod
    def run(cls, *values: Any) -> Tensor:
        """``apply`` for the arguments of ``forward``; without function transforms it need not look up their names."""
        if torch._C._are_functorch_transforms_active():
            return cls.apply(*values)
        return super(torch.autograd.Function, cls).apply(*values)  # type: ignore[misc]  # in C++, without types

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        norm_weight: Tensor | None,
        norm_bias: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        eps: float | None,
        dtype: torch.dtype,
        geometry: tuple[Any, ...],
    ) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, ., .).

        Args:
            x: The input.
            weight: Of the convolution (C_out, C_in / groups, k, k).
            bias: Of the convolution (C_out,).
            norm_weight: Of the norm (C_out,), as all of its own that follow.
            norm_bias: Of the norm.
            mean: The norm's running mean.
            var: The norm's running variance.
            eps: What the norm adds to the variance.
            dtype: What it computes in.
            geometry: Stride, padding, dilation, groups.
        """
        scale, shift = None, bias
        if mean is not None and var is not None and eps is not None:
            scale, shift = _scale_and_shift(_exact(weight), bias, norm_weight, norm_bias, mean, var, eps)
        with autocast(x.device.type, None):  # it would undo a choice of float32
            out = torch.conv2d(x.to(dtype), scaled(weight, scale, dtype), to_dtype(shift, dtype), *geometry)
        return out.to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what backward needs."""
        x, weight, bias, norm_weight, norm_bias, mean, var, ctx.eps, ctx.dtype, ctx.geometry = inputs
        for_weight = ctx.needs_input_grad[1] or ctx.needs_input_grad[3]
        ctx.save_for_backward(x if for_weight else None, weight, bias, norm_weight, mean, var)
        ctx.shape, ctx.x_dtype = x.shape, x.dtype
        ctx.norm_bias_dtype = None if norm_bias is None else norm_bias.dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the arguments of ``forward``, in its order."""
        x, weight, bias, norm_weight, mean, var = ctx.saved_tensors
        for_x, for_weight, for_bias, for_norm_weight, for_norm_bias = ctx.needs_input_grad[:5]
        exact = _exact(weight)
        scale = inverse = None
        if mean is not None:
            scale = inverse = _inverse_deviation(var, ctx.eps, exact)
            if norm_weight is not None:
                scale = norm_weight.to(exact) * inverse
        grad_x, grad_scaled, grad_shift = convolution_backward(
            grad.to(ctx.dtype),
            grad.new_empty((), dtype=ctx.dtype).expand(ctx.shape) if x is None else x.to(ctx.dtype),
            scaled(weight, scale, ctx.dtype),
            ctx.geometry,
            (for_x, for_weight or for_norm_weight, for_bias or for_norm_weight or for_norm_bias),
        )
        grads: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        if for_x:
            grads[0] = grad_x.to(ctx.x_dtype)
        if for_weight:
            grads[1] = scaled(grad_scaled, scale, weight.dtype)
        if for_bias:
            grads[2] = (grad_shift if scale is None else grad_shift * scale).to(bias.dtype)
        if for_norm_weight:
            assert inverse is not None
            grad_scale = (grad_scaled * weight.to(exact)).sum(dim=(1, 2, 3))
            grad_scale = torch.addcmul(grad_scale, grad_shift.to(exact), _offset(bias, mean, exact))
            grads[3] = (grad_scale * inverse).to(norm_weight.dtype)
        if for_norm_bias:
            grads[4] = grad_shift.to(ctx.norm_bias_dtype)
        return tuple(grads)


def _exact(weight: Tensor) -> torch.dtype:
    """What scales are computed in."""
    return torch.promote_types(weight.dtype, torch.float32)


def convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: tuple[Any, ...], mask: tuple[bool, bool, bool]
) -> tuple[Any, Any, Any]:
    """Gradients of a 2-D convolution for its input, weight and bias, where the mask asks for them.

    Args:
        grad: Of the output (B, C_out, ., .).
        x: The input (B, C_in, h, w).
        weight: (C_out, C_in / groups, k, k).
        geometry: Stride, padding, dilation, groups.
        mask: Which of the three are wanted.
    """
    stride, padding, dilation, groups = geometry
    return torch.ops.aten.convolution_backward(
        grad, x, weight, [weight.shape[0]], stride, padding, dilation, False, [0, 0], groups, mask
    )
