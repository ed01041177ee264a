"""The part of a model that a runtime runs: from normalised pixels to tensors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

INPUT = 'images'
"""Name of the input in exported files."""
PYRAMID_MIN_SIZE = 256
"""Smallest height and width in pixels for a pyramid: the coarsest level of six, at stride 128, has two cells."""

Run = Callable[[Tensor], tuple[Tensor, ...]]
"""Runs a part: images (B, C, H, W) -> its outputs."""


@dataclass(frozen=True)
class Part:
    """What a runtime runs of a model.

    Args:
        module: Normalised images (B, C, H, W) -> a tuple of tensors; in eval mode.
        outputs: A name for each tensor; empty where the names do not matter.
        note: What a user should know: what the outputs are, and what of the model is left out.
        channels: Channels of the images.
        min_size: Smallest height and width in pixels that can be traced. torch.export makes a special case of a map
            with one cell; at 33 pixels the coarsest map of an HRNet has two.
        checked: Batch, height and width at which an exported file is checked: a usual size, another shape, an odd one.
        context: Makes the context inside which the module can be traced for every size.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    note: str
    channels: int
    min_size: int = 33
    checked: tuple[tuple[int, int, int], ...] = ((1, 224, 224), (3, 160, 96), (2, 97, 131))
    context: Callable[[], AbstractContextManager[object]] = nullcontext


class Features(nn.Module):
    """Images (B, C, H, W) -> the maps (B, C_i, h_i, w_i) that a detector's heads receive, finest first."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = getattr(model, 'neck', None)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H, W) -> maps (B, C_i, h_i, w_i), finest first."""
        feats = self.backbone(images)
        return tuple(feats if self.neck is None else self.neck(feats))


def kind_of(model: nn.Module) -> str:
    """``'classifier'``, ``'segmentor'`` or ``'detector'`` for a model of mmpretrain, mmseg or mmdet, else empty."""
    names = {(cls.__module__.partition('.')[0], cls.__name__) for cls in type(model).__mro__}
    return next((kind for kind, name in _BASES.items() if name in names), '')


_BASES = {
    'classifier': ('mmpretrain', 'ImageClassifier'),
    'segmentor': ('mmseg', 'EncoderDecoder'),
    'detector': ('mmdet', 'BaseDetector'),
}
