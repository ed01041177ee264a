"""Batch norms that learn statistics, quick also for channels-last maps of 18 or 36 channels on a CPU.

PyTorch's kernels for that layout go through a pixel's channels in whole vector registers and do the rest number by
number: the backward of 18 channels takes as long as that of 144. Several pixels in a row are whole registers. So the
map is looked at as one of fewer pixels with more channels, and what is found for those is put together.

Source: Ioffe and Szegedy, "Batch Normalization" (arXiv:1502.03167), algorithm 1.
Shape legend: B batch, C channels, h x w map size; g pixels in a group, M = B * h * w.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

LANES = 8
"""Numbers in a register of PyTorch's kernels for norms, which use AVX2 also where there is more."""
LEAST = 2**17
"""Numbers of a map from which on groups save more than putting them together costs."""


def batch_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """``norm(x)``, (B, C, h, w) -> the same shape, which differs by rounding only.

    Args:
        norm: A batch norm as torch has it, which no hook listens to; what else it is, it runs itself.
        x: The norm's input.
    """
    if not _is_slow(norm, x):
        return norm(x)
    group = LANES // math.gcd(x.shape[1], LANES)
    count = x.numel() // x.shape[1]
    if group == 1 or count % group:
        return norm(x)
    out, mean, var = _GroupedNorm.apply(x, norm.weight, norm.bias, norm.eps, group)
    _count(norm, mean, var * (count / (count - 1)))
    return out


def _is_slow(norm: nn.Module, x: Tensor) -> TypeGuard[nn.BatchNorm2d]:
    return (
        isinstance(norm, nn.BatchNorm2d)
        and type(norm).forward is _BatchNorm.forward
        and norm.training
        and x.device.type == 'cpu'
        and x.dtype == torch.float32
        and x.numel() >= LEAST
        and (norm.weight is None or norm.weight.dtype == torch.float32)
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
        and not torch.compiler.is_compiling()
    )


def _count(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    """Let the running statistics see those of a batch, as torch's own forward does."""
    momentum = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if momentum is None:
            momentum = 1 / float(norm.num_batches_tracked)
    with torch.no_grad():
        for running, seen in ((norm.running_mean, mean), (norm.running_var, var)):
            if running is not None:
                running.lerp_(seen, momentum or 0.0)


class _GroupedNorm(torch.autograd.Function):
    """The norm of a batch by its own statistics; gives those too: the mean and the variance, each (C,)."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        maps = _grouped(x, group)
        means, variances = torch.batch_norm_update_stats(maps, None, None, 0.0)
        means, variances = means.view(group, -1), variances.view(group, -1)
        mean = means.mean(dim=0)
        var = (variances + (means - mean).square_()).mean(dim=0)
        scale = torch.rsqrt(var + eps)
        scale = scale if weight is None else scale * weight
        shift = -mean * scale if bias is None else torch.addcmul(bias, mean, scale, value=-1)
        out = torch.empty_like(x)
        torch.addcmul(_for_all(shift, group), _rows(maps), _for_all(scale, group), out=_rows(_grouped(out, group)))
        return out, mean, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight, bias, ctx.eps, ctx.group = inputs
        _, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(x, weight, bias, mean, var)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, var = ctx.saved_tensors
        needs = ctx.needs_input_grad
        if torch.is_grad_enabled():  # for gradients of these gradients, torch's own
            return *_differentiable(x, weight, bias, ctx.eps, grad, needs), None, None
        group, count = ctx.group, x.numel() // x.shape[1]
        maps, grads = _grouped(x, group), _grouped(grad.contiguous(memory_format=torch.channels_last), group)
        inverse = torch.rsqrt(var + ctx.eps)
        of_all = _for_all(mean, group), _for_all(inverse, group)
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            grads, maps, of_all[1], None, None, *of_all, True, ctx.eps, [False, True, True]
        )
        by_weight, by_bias = by_weight.view(group, -1).sum(dim=0), by_bias.view(group, -1).sum(dim=0)
        grad_x = None
        if needs[0]:
            scale = inverse if weight is None else inverse * weight
            of_x = scale * inverse * by_weight / -count
            of_one = torch.addcmul(scale * by_bias / -count, of_x, mean, value=-1)
            grad_x = torch.empty_like(x)
            rows = _rows(_grouped(grad_x, group))
            torch.addcmul(_for_all(of_one, group), _rows(maps), _for_all(of_x, group), out=rows)
            rows.addcmul_(_rows(grads), _for_all(scale, group))
        return grad_x, by_weight if needs[1] else None, by_bias if needs[2] else None, None, None


def _for_all(value: Tensor, group: int) -> Tensor:
    """(C,) -> (g * C,), again for each pixel of a group."""
    return value.expand(group, -1).reshape(-1)


def _differentiable(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, grad: Tensor, needs: tuple[bool, ...]
) -> list[Tensor | None]:
    out = torch.batch_norm(x, weight, bias, None, None, True, 0.0, eps, False)
    asked = [value for value, need in zip((x, weight, bias), needs) if need and value is not None]
    found = iter(torch.autograd.grad(out, asked, grad, create_graph=True))
    return [next(found) if need else None for need in needs[:3]]


def _grouped(x: Tensor, group: int) -> Tensor:
    """(B, C, h, w) in channels-last -> (1, g * C, M / g, 1), the same numbers in the same places."""
    return x.permute(0, 2, 3, 1).reshape(1, -1, 1, group * x.shape[1]).permute(0, 3, 1, 2)


def _rows(maps: Tensor) -> Tensor:
    """(1, g * C, M / g, 1) -> (M / g, g * C), the same numbers in the same places."""
    return maps[0, :, :, 0].t()
