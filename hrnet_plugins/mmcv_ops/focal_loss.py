"""Focal loss, https://arxiv.org/abs/1708.02002, of sigmoid and of softmax scores.

Labels may be the number of classes, which means background: no class of a sigmoid, and no loss of a softmax.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = torch.finfo(torch.float32).tiny


@torch.no_grad()
def sigmoid_focal_loss_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each score into ``output``.

    Args:
        input: Logits, (N, C).
        target: Labels, int64, (N,).
        weight: A factor for each class, (C,), by the label of the row; empty for none. Background has the factor 1.
        output: (N, C).
        gamma: The exponent that weakens easy ones.
        alpha: The factor of the label's class; the others' is ``1 - alpha``.
    """
    logits, positive = _sigmoid_inputs(input, target)
    p = logits.sigmoid()
    at_label = alpha * (1 - p) ** gamma * _log(p)
    elsewhere = (1 - alpha) * p**gamma * _log(1 - p)
    output.copy_(-torch.where(positive, at_label, elsewhere) * _factors(weight, target, len(input.T))[:, None])


@torch.no_grad()
def sigmoid_focal_loss_backward(
    input: Tensor,  # noqa: A002, mmcv's name
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the derivative of each loss by its logit into ``grad_input``, (N, C); the rest is as in the forward."""
    logits, positive = _sigmoid_inputs(input, target)
    p = logits.sigmoid()
    at_label = alpha * (1 - p) ** gamma * (1 - p - gamma * p * _log(p))
    elsewhere = (1 - alpha) * p**gamma * (gamma * (1 - p) * _log(1 - p) - p)
    grad_input.copy_(-torch.where(positive, at_label, elsewhere) * _factors(weight, target, len(input.T))[:, None])


@torch.no_grad()
def softmax_focal_loss_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the loss of each row into ``output``.

    Args:
        input: Probabilities, the softmax of the logits, (N, C).
        target: Labels, int64, (N,). Rows whose label is no class have no loss.
        weight: A factor for each class, (C,); empty for none.
        output: (N,).
        gamma: The exponent that weakens easy ones.
        alpha: The factor of all.
    """
    p, factors = _softmax_inputs(input, target, weight)
    output.copy_(-alpha * (1 - p) ** gamma * _log(p) * factors)


@torch.no_grad()
def softmax_focal_loss_backward(
    input: Tensor,  # noqa: A002, mmcv's name
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Write the derivative of each row's loss by its logits into ``grad_input``, (N, C).

    ``buff``, (N,), receives the derivative by the logarithm of the label's probability. The rest is as in the
    forward.
    """
    p, factors = _softmax_inputs(input, target, weight)
    by_log = alpha * (gamma * (1 - p) ** (gamma - 1) * p * _log(p) - (1 - p) ** gamma)
    # With gamma below 1 the power above is infinite at p = 1, where its product with log(p) = 0 tends to 0.
    by_log = torch.where(p == 1, -alpha * (1 - p) ** gamma, by_log) * factors
    buff.copy_(by_log)
    classes = torch.arange(len(input.T), device=input.device)
    grad_input.copy_(by_log[:, None] * ((target[:, None] == classes).to(p) - input.to(p)))


def _sigmoid_inputs(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The logits in a type wide enough for their powers, and where the label's class is: (N, C) both."""
    classes = torch.arange(len(logits.T), device=logits.device)
    return logits.to(_wide(logits)), target[:, None] == classes


def _softmax_inputs(probabilities: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The probability of each label, and the factor of each loss, 0 where the label is no class: (N,) both."""
    count = len(probabilities.T)
    known = (target >= 0) & (target < count)
    p = probabilities.to(_wide(probabilities)).gather(1, target.clamp(0, count - 1)[:, None])[:, 0]
    return p, _factors(weight, target, count).to(p) * known


def _factors(weight: Tensor, target: Tensor, count: int) -> Tensor:
    """The factor of each row: that of its label, or 1 for labels that are no class: (N,)."""
    if weight.numel() == 0:
        return torch.ones((), device=target.device).expand(len(target))
    known = (target >= 0) & (target < count)
    return torch.where(known, weight[target.clamp(0, count - 1)], 1)


def _log(p: Tensor) -> Tensor:
    return p.clamp(min=_SMALLEST).log()


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
