"""A convolution and the norm after it; as one convolution where the norm's statistics are fixed.

Source: You et al., "Tune-Mode ConvBN Blocks For Efficient Transfer Learning" (arXiv:2305.11624).
Shape legend: B batch, C channels, h x w map size.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeGuard

import mmcv.cnn
import torch
import torch.fx
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import _has_any_global_hook

from hrnet_plugins import processor
from hrnet_plugins.models.autocast import autocast, autocast_dtype
from hrnet_plugins.models.batch_norm import batch_norm

_PLAIN_CONVS = ('Conv2d',)
_PLAIN_NORMS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def conv_norm(conv: Any, norm: Any, x: Tensor, *, efficient: bool = True) -> Tensor:
    """``norm(conv(x))``: (B, C_in, h, w) -> (B, C_out, ., .).

    Where gradients are recorded and the norm's statistics are fixed, the norm is multiplied into the weight, and the
    convolution's output is not kept for backward; unless it has fewer numbers than the weight, which then would be
    kept twice. A norm that learns its statistics is computed by ``batch_norm``. Both
    differ by rounding only. Whatever would notice, such as a hook on one of the two or a tracer, gets the two steps.
    Inference without gradients does, too: ``accelerate`` is for it.

    Args:
        conv: A convolution of any kind.
        norm: A norm of any kind.
        x: The convolution's input.
        efficient: False for the two steps, always.
    """
    if not efficient or is_traced(x):
        return norm(conv(x))
    if torch.is_grad_enabled() and can_fuse_fixed(conv, norm):
        return _conv_scaled(conv, x, norm)
    x = conv(x)
    return batch_norm(norm, x) if runs_alone(norm) and not _has_any_global_hook() else norm(x)


def conv_alone(conv: Any, x: Tensor) -> Tensor:
    """``conv(x)``: (B, C_in, h, w) -> (B, C_out, ., .).

    Where it trains with maps in bfloat16 that the processor is slow to multiply, it computes in float32. That differs
    by rounding only.

    Args:
        conv: A convolution of any kind.
        x: Its input.
    """
    eager = torch.is_grad_enabled() and not is_traced(x) and not torch.compiler.is_compiling()
    if eager and _multiplies_slowly(x) and (_autocast_dtype(x) or x.dtype) == torch.bfloat16 and can_replace(conv):
        return _conv_scaled(conv, x, None)
    return conv(x)


class ConvNorm(nn.Sequential):
    """Convolution, norm, and what follows them, in a row. Built by ``LayerFactory``."""

    efficient_conv_bn_eval = True

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, ., .)."""
        conv, norm, *rest = self._modules.values()
        x = conv_norm(conv, norm, x, efficient=self.efficient_conv_bn_eval)
        for module in rest:
            x = module(x)
        return x


class ConvModule(mmcv.cnn.ConvModule):
    """mmcv's ``ConvModule``, which also is one convolution where the norm's statistics are fixed, see ``conv_norm``.

    Args:
        efficient_conv_bn_eval: False for convolution and norm as two steps, always.
        args: Those of mmcv's.
        options: Those of mmcv's.
    """

    def __init__(self, *args: Any, efficient_conv_bn_eval: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.efficient_conv_bn_eval = efficient_conv_bn_eval

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, ., .), with or without the last two of convolution, norm and activation."""
        own_order = self.order == ('conv', 'norm', 'act') and not self.with_explicit_padding
        if not own_order or self.efficient_conv_bn_eval_forward is not None:
            return super().forward(x, activate, norm)
        if norm and self.with_norm:
            x = conv_norm(self.conv, self.norm, x, efficient=self.efficient_conv_bn_eval)
        else:
            x = conv_alone(self.conv, x)
        return self.activate(x) if activate and self.with_activation else x


def is_traced(x: Any) -> bool:
    """True while ``torch.fx`` or ``torch.jit`` follow the modules: their graphs hold the modules' own steps."""
    return isinstance(x, torch.fx.Proxy) or torch.jit.is_tracing()


def has_hooks(module: nn.Module) -> bool:
    """True when hooks would see the inputs or outputs of the module."""
    return bool(module._forward_pre_hooks or module._forward_hooks)


def runs_alone(module: nn.Module) -> bool:
    """True when nothing but the module's own class sees what it computes: no hook of any kind, no other forward."""
    listeners = module._backward_hooks or module._backward_pre_hooks or 'forward' in module.__dict__
    return not (listeners or has_hooks(module))


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


def has_fixed_statistics(norm: nn.Module) -> TypeGuard[_BatchNorm]:
    """True when a norm, as it stands, is a constant scale and shift of each channel."""
    return isinstance(norm, _BatchNorm) and not norm.training and norm.running_mean is not None


def can_fuse_fixed(conv: Any, norm: Any) -> bool:
    """True when the two, as they stand, are one plain convolution, and nobody listens in."""
    return has_fixed_statistics(norm) and type(norm).forward in _PLAIN_NORMS and runs_alone(norm) and can_replace(conv)


def can_replace(conv: Any) -> TypeGuard[nn.Conv2d]:
    """True when a convolution is a plain one, and nobody listens in: its arithmetic may be done elsewhere."""
    return (
        is_plain_conv(conv)
        and type(conv.weight) is nn.Parameter  # and not sharded or quantised
        and runs_alone(conv)
        and not _has_any_global_hook()
    )


def _autocast_dtype(x: Tensor) -> torch.dtype | None:
    """What autocast makes of a convolution's input; ``None`` where it leaves it."""
    return None if x.dtype == torch.float64 else autocast_dtype(x.device.type)


def _multiplies_slowly(x: Tensor) -> bool:
    return x.device.type == 'cpu' and not _is_faster_in_bf16()


_is_faster_in_bf16 = cache(processor.is_faster_in_bf16)


def fixed_scale_and_shift(norm: _BatchNorm, conv_bias: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """What a norm with fixed statistics multiplies and adds to a convolution without its bias, each (C,).

    Computed at least in float32, whatever the layers' precision is.

    Args:
        norm: The norm.
        conv_bias: The bias of the convolution in front of it (C,).
        dtype: The precision of the result where it is greater.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    return _scale_and_shift(torch.promote_types(dtype, torch.float32), conv_bias, *_values(norm))


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


def _conv_scaled(conv: nn.Conv2d, x: Tensor, norm: _BatchNorm | None) -> Tensor:
    """The two as one convolution, or the convolution alone, in the precision that is the fastest."""
    weight = conv.weight
    dtype = weight.dtype
    if (cast := _autocast_dtype(x)) is not None:
        dtype, x = cast, x.to(cast)
    geometry: Any = (conv.stride, conv.padding, conv.dilation, conv.groups)
    if x.dtype == dtype and not torch.compiler.is_compiling():  # the compiler decides itself what it recomputes
        inside = torch.float32 if dtype == torch.bfloat16 and _multiplies_slowly(x) else dtype
        learns = weight.requires_grad or (norm is not None and norm.weight is not None and norm.weight.requires_grad)
        if inside != dtype or not learns:
            return _ScaledConv.run(x, weight, conv.bias, *_values(norm), inside, geometry)
        if norm is not None and _is_small(x, conv):
            return norm(conv(x))
    scale, shift = (None, conv.bias) if norm is None else fixed_scale_and_shift(norm, conv.bias, weight.dtype)
    return torch.conv2d(x, scaled(weight, scale, dtype), _to(shift, dtype), *geometry)


def _values(norm: _BatchNorm | None) -> tuple[Any, ...]:
    if norm is None:
        return (None,) * 5
    return norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps


def _is_small(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether the convolution gives fewer numbers than its weight has: to keep them is less than a scaled weight."""
    cells = x.numel() // x.shape[1] // (conv.stride[0] * conv.stride[1])
    return cells < conv.weight.numel() // conv.out_channels


def scaled(weight: Tensor, scale: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Each output channel of a weight (C_out, C_in / groups, k, k) times its scale (C_out,)."""
    return (weight if scale is None else weight * scale.view(-1, 1, 1, 1)).to(dtype)


def _to(value: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if value is None else value.to(dtype)


class _ScaledConv(torch.autograd.Function):
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
        return super(torch.autograd.Function, cls).apply(*values)  # type: ignore[misc]

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
        scale, shift = None, bias
        if mean is not None and var is not None and eps is not None:
            scale, shift = _scale_and_shift(_exact(weight), bias, norm_weight, norm_bias, mean, var, eps)
        with autocast(x.device.type, None):  # it would undo a choice of float32
            out = torch.conv2d(x.to(dtype), scaled(weight, scale, dtype), _to(shift, dtype), *geometry)
        return out.to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, bias, norm_weight, norm_bias, mean, var, ctx.eps, ctx.dtype, ctx.geometry = inputs
        for_weight = ctx.needs_input_grad[1] or ctx.needs_input_grad[3]
        ctx.save_for_backward(x if for_weight else None, weight, bias, norm_weight, mean, var)
        ctx.shape, ctx.x_dtype = x.shape, x.dtype
        ctx.norm_bias_dtype = None if norm_bias is None else norm_bias.dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
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
            grad_scale = (grad_scaled * weight.to(exact)).sum(dim=(1, 2, 3))
            grad_scale = torch.addcmul(grad_scale, grad_shift.to(exact), _offset(bias, mean, exact))
            grads[3] = (grad_scale * inverse).to(norm_weight.dtype)  # type: ignore[operator]
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
