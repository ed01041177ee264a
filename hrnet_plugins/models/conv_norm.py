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
from hrnet_plugins.models.autocast import autocast_dtype
from hrnet_plugins.models.batch_norm import batch_norm
from hrnet_plugins.models.scaled_conv import ScaledConv, fixed_scale_and_shift, scaled, to_dtype, values_of

_PLAIN_CONVS = ('Conv2d',)
_PLAIN_NORMS = (_BatchNorm.forward, nn.SyncBatchNorm.forward)


def conv_norm(conv: Any, norm: Any, x: Tensor, *, efficient: bool = True) -> Tensor:
    """``norm(conv(x))``: (B, C_in, h, w) -> (B, C_out, ., .).

    Where gradients are recorded and the norm's statistics are fixed, the norm is multiplied into the weight, and the
    convolution's output is not kept for backward; unless it has fewer numbers than the weight, which then would be kept
    twice. A norm that learns its statistics is computed by ``batch_norm``. Both differ by rounding only. Whatever would
    notice, such as a hook on one of the two or a tracer, gets the two steps. Inference without gradients does, too:
    ``accelerate`` is for it.

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
            return ScaledConv.run(x, weight, conv.bias, *values_of(norm), inside, geometry)
        if norm is not None and _is_small(x, conv):
            return norm(conv(x))
    scale, shift = (None, conv.bias) if norm is None else fixed_scale_and_shift(norm, conv.bias, weight.dtype)
    return torch.conv2d(x, scaled(weight, scale, dtype), to_dtype(shift, dtype), *geometry)


def _is_small(x: Tensor, conv: nn.Conv2d) -> bool:
    """Whether the convolution gives fewer numbers than its weight has: to keep them is less than a scaled weight."""
    cells = x.numel() // x.shape[1] // (conv.stride[0] * conv.stride[1])
    return cells < conv.weight.numel() // conv.out_channels
