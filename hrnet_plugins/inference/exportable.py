"""The part of a framework's model that an exported file holds."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_plugins.inference.part import PYRAMID_MIN_SIZE, Features, Part, kind_of
from hrnet_plugins.inference.patches import without_resize_warning


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


def exportable_part(model: nn.Module) -> Part:
    """The part of a model that an exported file can hold.

    Of a classifier and of a segmentor this is all. Of a detector it is the backbone and the neck: what follows
    (anchors, proposals, suppression) depends on the image's own size and on its content.

    Raises:
        ValueError: If the model is none of mmpretrain's image classifiers, mmseg's encoder-decoders and models with
            a backbone; the message names what it is instead.
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
        omitted = f'not in the file: {", ".join(heads)}, boxes and suppression' if heads else 'the model has no head'
        held = 'backbone' if features.neck is None else 'backbone + neck'
        return Part(
            features,
            tuple(f'feat{i}' for i in range(count)),
            f'maps of {held}, finest first; {omitted}',
            channels,
            min_size=PYRAMID_MIN_SIZE,
            checked=((1, 320, 320), (3, 256, 288), (2, 257, 331)),
        )
    raise ValueError(
        f'`recipe` builds a {type(model).__name__}, which cannot be exported: only image classifiers, encoder-decoder '
        'segmentors, and the backbone and neck of models that have them'
    )
