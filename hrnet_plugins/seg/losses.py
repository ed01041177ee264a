"""Segmentation losses averaged as the official code averages them (``lib/core/criterion.py``).

Shape legend: B images of the batch on one device, K classes, H x W size of the label map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_plugins.registry import MODELS


def two_classes(logits: Tensor) -> Tensor:
    """Logits of the second of two classes (B, 1, H, W) -> those of both, with the same probabilities, (B, 2, H, W)."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1)


def check_class_weight(class_weight: Any, classes: int) -> None:
    """Check that a loss has a weight for each class.

    Raises:
        ValueError: If it has weights for another number of classes.
    """
    if class_weight is not None and len(class_weight) != classes:
        raise ValueError(
            f'`class_weight` has {len(class_weight)} entries, the head {classes} classes: give one for each class in '
            'their order, or leave it out'
        )


class _PixelLoss(nn.Module):
    """What the two losses share: the arguments of mmseg's heads, class weights, a factor.

    Args:
        class_weight: Factor of the loss of each class.
        loss_weight: Factor of the whole loss.
        loss_name: Name in the log; mmengine adds up the losses whose name starts with ``loss``.
    """

    class_weight: Tensor | None

    def __init__(self, class_weight: Sequence[float] | None, loss_weight: float, loss_name: str) -> None:
        super().__init__()
        # Not in the state dict: checkpoints hold the model, and a recipe states its loss.
        weights = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weights, persistent=False)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Logits (B, K, H, W) and labels (B, H, W) -> the loss, a scalar.

        If no pixel has a label the loss is zero, and so are its gradients. With one channel, as of a head with
        ``out_channels=1``, the logits are of the second of two classes.

        Raises:
            ValueError: If ``weight`` is given, as by the ``sampler`` of a head of mmseg's, or ``class_weight`` is for
                another number of classes.
        """
        if weight is not None:
            raise ValueError(
                f'`weight` {tuple(weight.shape)} comes from the `sampler` of the head, which this loss does not '
                "take: remove it, and for hard examples use loss_decode=dict(type='hrnet_plugins.OhemCrossEntropy')"
            )
        cls_score = two_classes(cls_score) if cls_score.shape[1] == 1 else cls_score
        check_class_weight(self.class_weight, cls_score.shape[1])
        scores = cls_score if cls_score.dtype == torch.float64 else cls_score.float()
        return self.loss_weight * self._loss(scores, label, ignore_index)

    def _weights(self, like: Tensor) -> Tensor | None:
        return None if self.class_weight is None else self.class_weight.to(like)

    def _loss(self, scores: Tensor, label: Tensor, ignore_index: int) -> Tensor:
        raise NotImplementedError


@MODELS.register_module()
class CrossEntropy(_PixelLoss):
    """Cross entropy, averaged over the pixels that have a label.

    With class weights the average is the weighted one: the sum of the losses over the sum of their weights.

    Args:
        class_weight: Factor of each class.
        average: ``'valid'`` pixels, or ``'all'``: ignored pixels then count as zeros and weights do not enter the
            divisor, as the official code averages the auxiliary output beside an OHEM loss.
        loss_weight: Factor of the loss.
        loss_name: Name in the log.

    Raises:
        ValueError: If ``average`` is unknown.
    """

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | None = None,
        average: Literal['valid', 'all'] = 'valid',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        if average not in ('valid', 'all'):
            raise ValueError(f"`average` ({average!r}) must be 'valid' or 'all'")
        self.average = average

    def _loss(self, scores: Tensor, label: Tensor, ignore_index: int) -> Tensor:
        weights = self._weights(scores)
        total = F.cross_entropy(scores, label, weight=weights, ignore_index=ignore_index, reduction='sum')
        if self.average == 'all':
            return total / label.numel()
        valid = label[label != ignore_index]
        divisor = valid.numel() if weights is None else weights[valid].sum()
        return total / divisor if valid.numel() else total  # a sum of nothing, zero


@MODELS.register_module()
class OhemCrossEntropy(_PixelLoss):
    """Cross entropy over the hard pixels of a batch: online hard example mining.

    Kept are the pixels whose true class has a probability below ``thresh``, or below that of the
    ``min_kept``-th hardest pixel where this is higher. Class weights scale the losses, not the divisor.

    Source: Shrivastava et al. (arXiv:1604.03540), over pixels, as ``OhemCrossEntropy`` of
    HRNet-Semantic-Segmentation has it.

    Args:
        thresh: Probability from which a pixel counts as easy.
        min_kept: How many pixels of all images on a device stay at least.
        class_weight: Factor of each class.
        loss_weight: Factor of the loss.
        loss_name: Name in the log.

    Raises:
        ValueError: If ``thresh`` is no probability or ``min_kept`` is below 1.
    """

    def __init__(
        self,
        *,
        thresh: float = 0.9,
        min_kept: int = 131072,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ohem',
    ) -> None:
        super().__init__(class_weight, loss_weight, loss_name)
        if not 0 < thresh <= 1:
            raise ValueError(f'`thresh` ({thresh}) must be a probability above 0')
        if min_kept < 1:
            raise ValueError(f'`min_kept` ({min_kept}) must be at least 1 pixel')
        self.thresh = thresh
        self.min_kept = min_kept

    def _loss(self, scores: Tensor, label: Tensor, ignore_index: int) -> Tensor:
        valid = label != ignore_index
        losses = F.cross_entropy(scores, label, ignore_index=ignore_index, reduction='none')[valid]  # (valid pixels,)
        if losses.numel() == 0:
            return losses.sum()  # of nothing: zero, as are the gradients
        probabilities = torch.exp(-losses.detach())
        hardest = probabilities.kthvalue(min(self.min_kept + 1, losses.numel())).values
        kept = probabilities < hardest.clamp(min=self.thresh)
        weights = self._weights(scores)
        if weights is not None:
            losses = losses * weights[label[valid]]
        return losses[kept].sum() / kept.sum().clamp(min=1)

    def extra_repr(self) -> str:
        """The thresholds, for printing the model."""
        return f'thresh={self.thresh}, min_kept={self.min_kept}'
