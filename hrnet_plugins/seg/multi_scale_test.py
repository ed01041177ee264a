"""The published multi-scale test: scores of scales, windows and flips are added up as sums of ``exp(logits)``.

Source: ``multi_scale_inference`` of HRNet-Semantic-Segmentation, ``lib/datasets/base_dataset.py`` and
``cityscapes.py``. Shape legend: B batch, K classes, H x W size of the image, h x w of a rescaled one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch.nn.functional as F
from mmengine import ConfigDict
from torch import Tensor

Predict = Callable[[Tensor], Tensor]
"""Images (B, 3, h, w) -> logits (B, K, h, w)."""


@dataclass(frozen=True)
class MultiScaleTest:
    """Settings of the published test procedure, and the procedure.

    Args:
        base_size: Long side in pixels of an image at scale 1.
        crop_size: Height and width of a window in pixels.
        windows: ``'shifted'``: images are seen whole up to scale 1, above it in windows side by side, the last of
            which move back inside (Cityscapes). ``'padded'``: images that fit one window are padded to it with
            black, others seen in windows that overlap by a third, those over the border padded (all others).
        scales: Factors of ``base_size``; the scores of all are added up.
        flip: See each window mirrored as well, and average the logits.
        flip_pairs: Classes that change places in a mirror image, such as left and right arm.

    Raises:
        ValueError: If an argument is out of range.
    """

    base_size: int
    crop_size: tuple[int, int]
    windows: Literal['shifted', 'padded']
    scales: Sequence[float] = (1.0,)
    flip: bool = False
    flip_pairs: Sequence[tuple[int, int]] = ()

    def __post_init__(self) -> None:
        if self.base_size < 1:
            raise ValueError(f'`test_cfg.base_size` ({self.base_size}) must be a number of pixels')
        if len(self.crop_size) != 2 or min(self.crop_size) < 1:
            raise ValueError(f'`test_cfg.crop_size` ({self.crop_size}) must be a height and a width in pixels')
        if self.windows not in ('shifted', 'padded'):
            raise ValueError(f"`test_cfg.windows` ({self.windows!r}) must be 'shifted' or 'padded'")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f'`test_cfg.scales` ({self.scales}) must be one or more positive factors')
        if any(len(pair) != 2 for pair in self.flip_pairs):
            raise ValueError(f'`test_cfg.flip_pairs` ({self.flip_pairs}) must be pairs of classes')

    @property
    def stride(self) -> tuple[int, int]:
        """Distance of the windows, down and to the right."""
        height, width = self.crop_size
        return (height, width) if self.windows == 'shifted' else (int(height * 2 / 3), int(width * 2 / 3))

    def as_mmseg(self) -> ConfigDict:
        """The ``test_cfg`` that comes nearest among mmseg's own modes."""
        if self.windows == 'shifted':
            return ConfigDict(mode='whole')
        return ConfigDict(mode='slide', crop_size=self.crop_size, stride=self.stride)

    def scores(self, predict: Predict, images: Tensor, *, pad_value: Tensor, align_corners: bool) -> Tensor:
        """Fuse the predictions for a batch.

        Args:
            predict: The model, from images to logits of their size.
            images: Normalised (B, 3, H, W).
            pad_value: What padded pixels hold, (3,): a black pixel after normalisation.
            align_corners: Of the bilinear resizing of scores.

        Returns:
            Positive scores (B, K, H, W); probabilities up to a factor.
        """
        size = images.shape[2:]
        total: Tensor | None = None
        for scale in self.scales:
            scores = self._at_scale(predict, _rescale(images, int(self.base_size * scale + 0.5)), scale, pad_value)
            if scores.shape[2:] != size:
                scores = F.interpolate(scores, size=size, mode='bilinear', align_corners=align_corners)
            total = scores if total is None else total + scores
        assert total is not None
        return total

    def _at_scale(self, predict: Predict, images: Tensor, scale: float, pad_value: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if self.windows == 'shifted':
            return self._exp(predict, images) if scale <= 1 else self._slide(predict, images, pad_value)
        if min(height, width) < min(self.crop_size) or max(height, width) <= min(self.crop_size):
            images = _pad(images, self.crop_size, pad_value)
        return self._slide(predict, images, pad_value)[:, :, :height, :width]

    def _slide(self, predict: Predict, images: Tensor, pad_value: Tensor) -> Tensor:
        """The mean of the scores of all windows over a pixel, (B, K, h, w)."""
        total: Tensor | None = None
        count = images.new_zeros(images.shape[2:])
        for rows, columns in product(*map(self._spans, (0, 1), images.shape[2:])):
            window = images[:, :, rows, columns]
            if self.windows == 'padded':
                window = _pad(window, self.crop_size, pad_value)
            scores = self._exp(predict, window)
            if total is None:
                total = scores.new_zeros(*scores.shape[:2], *images.shape[2:])
            target = total[:, :, rows, columns]
            target += scores[:, :, : target.shape[2], : target.shape[3]]
            count[rows, columns] += 1
        assert total is not None
        return total / count

    def _spans(self, axis: int, length: int) -> list[slice]:
        """The windows along one axis of ``length`` pixels."""
        crop, stride = self.crop_size[axis], self.stride[axis]
        starts = [i * stride for i in range(max(math.ceil((length - crop) / stride), 0) + 1)]
        if self.windows == 'shifted':
            starts = [max(min(start, length - crop), 0) for start in starts]
        return [slice(start, min(start + crop, length)) for start in starts]

    def _exp(self, predict: Predict, images: Tensor) -> Tensor:
        logits = predict(images).float()
        if self.flip:
            mirrored = predict(images.flip(3)).float().flip(3)
            logits = (logits + mirrored[:, self._mirrored_classes(logits.shape[1])]) / 2
        return logits.exp()

    def _mirrored_classes(self, classes: int) -> list[int]:
        order = list(range(classes))
        for a, b in self.flip_pairs:
            order[a], order[b] = b, a
        return order


def _rescale(images: Tensor, long_side: int) -> Tensor:
    """To ``long_side`` pixels, keeping the ratio, as OpenCV's bilinear resizing does."""
    height, width = images.shape[2:]
    longest = max(height, width)
    size = tuple(long_side if side == longest else int(side * long_side / longest + 0.5) for side in (height, width))
    if size == (height, width):
        return images
    return F.interpolate(images, size=size, mode='bilinear', align_corners=False)


def _pad(images: Tensor, size: Sequence[int], pad_value: Tensor) -> Tensor:
    """To at least ``size``, below and to the right, with black."""
    height, width = (max(side, least) for side, least in zip(images.shape[2:], size))
    if (height, width) == images.shape[2:]:
        return images
    padded = pad_value.to(images).view(1, -1, 1, 1).repeat(images.shape[0], 1, height, width)
    padded[:, :, : images.shape[2], : images.shape[3]] = images
    return padded
