"""Padding of a training batch to one of two fixed sizes, for detection."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from mmengine.structures import PixelData
from torch import Tensor, nn

from hrnet_plugins.registry import MODELS

IGNORED = 255
"""The label of a semantic map's padding, which mmdet's losses ignore."""


@MODELS.register_module()
class BatchOrientedPad(nn.Module):
    """Pad a batch to ``(long_side, short_side)`` or the other way round, whichever way its images stand.

    An entry of ``batch_augments`` in mmdet's ``DetDataPreprocessor``, so it pads normalised images, in training only.
    The batch stands upright if its height is at least its width. Unlike mmdet's ``BatchFixedSizePad`` it leaves
    ``pad_shape`` as it was, which is what tells the heads where anchors are valid: those in this padding are not.

    Source: the ``pad_size`` of HRNet-Object-Detection's collate function. Its recipes with synchronised batch norm
    count on it, since the padding enters the batch's statistics.

    Args:
        long_side: Height of an upright batch, width of any other, in pixels.
        short_side: The other side, in pixels.
        pad_value: What padded pixels hold; 0 is the mean colour.

    Raises:
        ValueError: If the sides are not positive or in the wrong order; from ``forward``, if a batch exceeds them.
    """

    def __init__(self, long_side: int, short_side: int, *, pad_value: float = 0) -> None:
        super().__init__()
        if not 0 < short_side <= long_side:
            raise ValueError(
                f'`long_side` ({long_side}) must be at least `short_side` ({short_side}), and both positive'
            )
        self.long_side = long_side
        self.short_side = short_side
        self.pad_value = pad_value

    def forward(self, inputs: Tensor, data_samples: list[Any] | None = None) -> tuple[Tensor, list[Any] | None]:
        """Pad images (B, C, H, W) at the right and the bottom, and their masks and semantic maps likewise.

        The samples are changed in place; masks are padded with 0, semantic maps with 255.
        """
        height, width = inputs.shape[-2:]
        upright = height >= width
        size = (self.long_side, self.short_side) if upright else (self.short_side, self.long_side)
        if height > size[0] or width > size[1]:
            raise ValueError(
                f'a batch of {height}x{width} (height x width) exceeds `long_side` ({self.long_side}) and `short_side` '
                f'({self.short_side}), which here mean {size[0]}x{size[1]}: raise them, resize to less, or keep upright'
                " and other images in batches of their own with batch_sampler=dict(type='AspectRatioBatchSampler')"
            )
        for sample in data_samples or []:
            _pad_sample(sample, size)
        return _pad(inputs, size, self.pad_value), data_samples

    def extra_repr(self) -> str:
        """The arguments, for the printed model."""
        return f'long_side={self.long_side}, short_side={self.short_side}, pad_value={self.pad_value}'


def _pad_sample(sample: Any, size: tuple[int, int]) -> None:
    sample.set_metainfo(dict(batch_input_shape=size))
    if 'masks' in sample.get('gt_instances', ()):
        sample.gt_instances.masks = sample.gt_instances.masks.pad(size)
    if 'gt_sem_seg' in sample:
        maps = sample.gt_sem_seg
        sample.gt_sem_seg = PixelData(metainfo=maps.metainfo, sem_seg=_pad(maps.sem_seg, size, IGNORED))


def _pad(x: Tensor, size: tuple[int, int], value: float) -> Tensor:
    height, width = x.shape[-2:]
    return F.pad(x, (0, size[1] - width, 0, size[0] - height), value=value)
