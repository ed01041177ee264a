"""Which part of a framework's model can leave it: from normalised pixels to the last tensors of one size rule."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_plugins.inference.patches import without_resize_warning

PYRAMID_MIN_SIZE = 256
"""Smallest height and width in pixels for a pyramid: the coarsest level of six, at stride 128, has two cells."""


@dataclass(frozen=True)
class Part:
    """What is exported of a model.

    Args:
        module: Normalised images (B, C, H, W) -> a tuple of tensors; in eval mode.
        outputs: A name for each tensor; none where nobody asks for them.
        note: What a user should know: what the outputs are, and what of the model is left out.
        channels: Channels of the images.
        min_size: Smallest height and width in pixels that the file takes. torch.export makes a map of one cell a case
            of its own, and at 33 pixels an HRNet's coarsest has two.
        checked: Batch, height and width that the file is checked at: a usual size, another shape, an odd one.
        context: A context in which the module's operations can be recorded for every size.
    """

    module: nn.Module
    outputs: tuple[str, ...]
    note: str
    channels: int
    min_size: int = 33
    checked: tuple[tuple[int, int, int], ...] = ((1, 224, 224), (3, 160, 96), (2, 97, 131))
    context: Callable[[], AbstractContextManager[object]] = nullcontext


class _Classifier(nn.Module):
    """Images (B, C, H, W) -> class scores before the softmax (B, num_classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model  # of a framework without types

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.model(images, mode='tensor'),)


class _Segmentor(nn.Module):
    """Images (B, C, H, W) -> class scores before the softmax (B, num_classes, H, W)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model  # of a framework without types

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.model(images, mode='tensor')  # (B, num_classes, h, w)
        align_corners = self.model.align_corners
        return (F.interpolate(logits, size=images.shape[2:], mode='bilinear', align_corners=align_corners),)


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


def exportable_part(model: nn.Module) -> Part:
    """The part of a model that an exported file can hold.

    A classifier and a segmentor go whole; of a detector the backbone and the neck, as what follows (anchors,
    proposals, suppression) depends on the image's own size and on its content.

    Raises:
        ValueError: If the model is none of mmpretrain's image classifiers, mmseg's encoder-decoders and models with
            a backbone, with what it is instead.
    """
    kind = kind_of(model)
    backbone = getattr(model, 'backbone', None)
    channels = getattr(backbone, 'in_channels', 3)
    if kind == 'classifier':
        return Part(_Classifier(model).eval(), ('logits',), 'logits (B, classes), before the softmax', channels)
    if kind == 'segmentor':
        note = 'logits (B, classes, H, W) at the size of the input, before the softmax; whole images, no sliding window'
        return Part(_Segmentor(model).eval(), ('logits',), note, channels, context=without_resize_warning)
    if isinstance(backbone, nn.Module):
        features = Features(model).eval()
        with torch.no_grad():
            count = len(features(torch.zeros(1, channels, 64, 64)))
        heads = [name for name, _ in model.named_children() if name.endswith('head')]
        left = f'not in the file: {", ".join(heads)}, boxes and suppression' if heads else 'the model has no head'
        whole = 'backbone' if features.neck is None else 'backbone + neck'
        return Part(
            features,
            tuple(f'feat{i}' for i in range(count)),
            f'maps of {whole}, finest first; {left}',
            channels,
            min_size=PYRAMID_MIN_SIZE,
            checked=((1, 320, 320), (3, 256, 288), (2, 257, 331)),
        )
    raise ValueError(
        f'`recipe` builds a {type(model).__name__}, which cannot be exported: only image classifiers, encoder-decoder '
        'segmentors, and the backbone and neck of models that have them'
    )


def kind_of(model: nn.Module) -> str:
    """``'classifier'``, ``'segmentor'`` or ``'detector'`` for a model of mmpretrain, mmseg or mmdet, else empty."""
    names = {(cls.__module__.partition('.')[0], cls.__name__) for cls in type(model).__mro__}
    return next((kind for kind, name in _BASES.items() if name in names), '')


_BASES = {
    'classifier': ('mmpretrain', 'ImageClassifier'),
    'segmentor': ('mmseg', 'EncoderDecoder'),
    'detector': ('mmdet', 'BaseDetector'),
}
