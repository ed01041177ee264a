"""The HRNetV2 head and the OCR head, on mmseg's base classes and under its state dict names.

Shape legend: B batch, C channels, K classes, h x w size of the finest map, N = h * w pixels of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads import FCNHead
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.losses import accuracy
from torch import Tensor, nn

from hrnet_plugins.models.feats import check_feats, concat_feats, listed_channels
from hrnet_plugins.registry import MODELS
from hrnet_plugins.seg.losses import check_class_weight, two_classes


def resize_logits(logits: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """(B, K, h, w) -> (B, K, *size), bilinear; as it is where it has the size."""
    size = tuple(size)
    if logits.shape[2:] == size:
        return logits
    return F.interpolate(logits, size=size, mode='bilinear', align_corners=align_corners)


class _BranchesHead:
    """What both heads do alike: take all branches, or their concatenation, and compare logits with labels."""

    branches: tuple[int, ...]
    align_corners: bool
    ignore_index: int
    num_classes: int
    loss_decode: nn.Module

    def concat(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        """The branches (B, C_i, h_i, w_i), finest first -> (B, sum(C_i), h, w); that itself stays as it is.

        Raises:
            ValueError: If the maps do not have ``in_channels``.
        """
        if isinstance(inputs, Tensor):
            return inputs
        check_feats(inputs, self.branches)
        return concat_feats(inputs, align_corners=self.align_corners)

    def _transform_inputs(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        return self.concat(inputs)

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Logits (B, K, h, w) and samples with ``gt_sem_seg`` (1, H, W) -> losses and accuracy by name."""
        label = torch.cat([sample.gt_sem_seg.data for sample in batch_data_samples])  # (B, H, W)
        logits = resize_logits(seg_logits, label.shape[1:], align_corners=self.align_corners)
        values: dict[str, Tensor] = {}
        for loss in self._losses():
            value = loss(logits, label, weight=None, ignore_index=self.ignore_index)
            values[loss.loss_name] = values[loss.loss_name] + value if loss.loss_name in values else value
        logits = two_classes(logits) if logits.shape[1] == 1 else logits
        values['acc_seg'] = accuracy(logits, label, ignore_index=self.ignore_index)
        return values

    def _losses(self) -> Any:
        return self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]

    def check_class_weights(self) -> None:
        """Check that each loss that has weights of classes has one for each class of the head."""
        for loss in self._losses():
            check_class_weight(getattr(loss, 'class_weight', None), self.num_classes)

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: Sequence[dict[str, Any]]) -> Tensor:
        """Logits (B, K, h, w) -> (B, K, H, W) at the size of the input, padding included."""
        meta = batch_img_metas[0]
        # A window of mmseg's sliding test announces itself by a torch.Size.
        window = isinstance(meta['img_shape'], torch.Size) or 'pad_shape' not in meta
        size = meta['img_shape'] if window else meta['pad_shape'][:2]
        return resize_logits(seg_logits, size, align_corners=self.align_corners)


def _common(
    in_channels: Sequence[int],
    *,
    num_classes: int,
    out_channels: int | None,
    threshold: float | None,
    norm_cfg: dict[str, Any] | None,
    loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None,
) -> dict[str, Any]:
    """Arguments of mmseg's base class that follow from ours."""
    return dict(
        in_channels=list(in_channels),
        in_index=list(range(len(in_channels))),
        input_transform='resize_concat',
        num_classes=num_classes,
        out_channels=num_classes if out_channels is None else out_channels,
        threshold=0.5 if out_channels == 1 and threshold is None else threshold,
        norm_cfg=norm_cfg or dict(type='BN'),
        loss_decode=loss_decode or dict(type='hrnet_plugins.CrossEntropy'),
    )


@MODELS.register_module()
class HRNetV2Head(_BranchesHead, FCNHead):
    """All branches at the finest size, a 1x1 convolution with norm and ReLU, a 1x1 classifier.

    Source: Sun et al., "High-Resolution Representations for Labeling Pixels and Regions" (arXiv:1904.04514),
    section 2.1. State dict names are those of mmseg's ``FCNHead``.

    Args:
        in_channels: Channels of each backbone map, finest first: the backbone's ``out_channels``.
        num_classes: Classes, ignored pixels not counted.
        out_channels: ``num_classes``, or 1 where there are two classes: logits of the second one.
        threshold: With one channel, the probability above which a pixel is of the second class; ``None`` means 0.5.
        align_corners: Of every bilinear resizing; the backbone must be given the same.
        dropout_ratio: Of whole channels before the classifier; 0 as published.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config; ``None`` means ``dict(type='BN')``.
        loss_decode: One loss config or several; ``None`` means ``CrossEntropy``.
        ignore_index: Label of pixels that have none.
        init_cfg: mmengine initialisation; ``None`` means normal with deviation 0.001, as published.

    Raises:
        ValueError: If ``in_channels`` is a number or empty, or a loss has weights for another number of classes.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        align_corners: bool = False,
        dropout_ratio: float = 0.0,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        ignore_index: int = 255,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        branches = listed_channels(in_channels)
        super().__init__(
            **_common(
                branches,
                num_classes=num_classes,
                out_channels=out_channels,
                threshold=threshold,
                norm_cfg=norm_cfg,
                loss_decode=loss_decode,
            ),
            channels=sum(branches),
            num_convs=1,
            kernel_size=1,
            concat_input=False,
            align_corners=align_corners,
            dropout_ratio=dropout_ratio,
            conv_cfg=conv_cfg,
            ignore_index=ignore_index,
            init_cfg=init_cfg or dict(type='Normal', std=0.001, layer='Conv2d'),
        )
        self.branches = branches
        self.check_class_weights()

    def forward(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        """Maps (B, in_channels[i], h_i, w_i), finest first, or their concatenation -> logits (B, K, h, w)."""
        return self.cls_seg(self.convs(self.concat(inputs)))


class ObjectAttention(nn.Module):
    """Each pixel's view of the object regions, and its fusion with the pixel's own features.

    Source: Yuan et al. (arXiv:1909.11065), section 3.2, equations 3 and 4.

    Args:
        channels: Of pixels and regions.
        key_channels: Of the space in which they are compared.
        cfg: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of mmcv's ``ConvModule``.
    """

    def __init__(self, channels: int, key_channels: int, **cfg: Any) -> None:
        super().__init__()
        # In the order in which mmseg makes them, so that its optimizer states fit as well.
        self.key_project = self._project(channels, key_channels, **cfg)
        self.query_project = self._project(channels, key_channels, **cfg)
        self.value_project = ConvModule(channels, key_channels, 1, **cfg)
        self.out_project = ConvModule(key_channels, channels, 1, **cfg)
        self.bottleneck = ConvModule(2 * channels, channels, 1, **cfg)
        self.scale = key_channels**-0.5

    @staticmethod
    def _project(channels: int, key_channels: int, **cfg: Any) -> nn.Sequential:
        first = ConvModule(channels, key_channels, 1, **cfg)
        return nn.Sequential(first, ConvModule(key_channels, key_channels, 1, **cfg))

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """Pixels (B, C, h, w) and regions (B, C, K, 1) -> augmented pixels (B, C, h, w)."""
        # Without a name the context is freed before the convolution.
        return self.bottleneck(torch.cat([self.out_project(self._attend(pixels, regions)), pixels], dim=1))

    def _attend(self, pixels: Tensor, regions: Tensor) -> Tensor:
        query = self.query_project(pixels).flatten(2)  # (B, key, N)
        key = self.key_project(regions).flatten(2).transpose(1, 2) * self.scale  # (B, K, key)
        value = self.value_project(regions).flatten(2)  # (B, key, K)
        # Classes before pixels all the way: the result is a feature map without a copy, and of the (K, N)
        # arrays backward needs the softmax alone.
        share = (key @ query).softmax(dim=1)  # (B, K, N)
        return (value @ share).unflatten(2, pixels.shape[2:])  # (B, key, h, w)


@MODELS.register_module()
class OCRHead(_BranchesHead, BaseCascadeDecodeHead):
    """Object-contextual representations: regions from a first segmentation, and what each pixel sees of them.

    Source: Yuan et al., "Object-Contextual Representations for Semantic Segmentation" (arXiv:1909.11065),
    section 3. State dict names are those of mmseg's ``OCRHead``. The paper's one scale is the only one.

    Args:
        in_channels: Channels of each backbone map, finest first: the backbone's ``out_channels``.
        num_classes: Classes, ignored pixels not counted.
        out_channels: ``num_classes``, or 1 where there are two classes: logits of the second one.
        threshold: With one channel, the probability above which a pixel is of the second class; ``None`` means 0.5.
        channels: Channels of pixels and regions.
        ocr_channels: Channels of the space in which pixels and regions are compared.
        align_corners: Of every bilinear resizing; the backbone must be given the same.
        dropout_ratio: Of whole channels before the classifier.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config; ``None`` means ``dict(type='BN')``.
        loss_decode: One loss config or several; ``None`` means ``CrossEntropy``.
        ignore_index: Label of pixels that have none.
        init_cfg: mmengine initialisation; ``None`` keeps that of the layers.

    Raises:
        ValueError: If ``in_channels`` is a number or empty, or a loss has weights for another number of classes.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        channels: int = 512,
        ocr_channels: int = 256,
        align_corners: bool = True,
        dropout_ratio: float = 0.05,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] | None = None,
        ignore_index: int = 255,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        branches = listed_channels(in_channels)
        super().__init__(
            **_common(
                branches,
                num_classes=num_classes,
                out_channels=out_channels,
                threshold=threshold,
                norm_cfg=norm_cfg,
                loss_decode=loss_decode,
            ),
            channels=channels,
            align_corners=align_corners,
            dropout_ratio=dropout_ratio,
            conv_cfg=conv_cfg,
            ignore_index=ignore_index,
            init_cfg=init_cfg,
        )
        self.branches = branches
        self.check_class_weights()
        cfg = dict(conv_cfg=self.conv_cfg, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.object_context_block = ObjectAttention(channels, ocr_channels, **cfg)
        self.bottleneck = ConvModule(sum(branches), channels, 3, padding=1, **cfg)

    def forward(self, inputs: Sequence[Tensor] | Tensor, prev_output: Tensor) -> Tensor:
        """Branches or their concatenation, and a first segmentation (B, K, h, w) -> logits (B, K, h, w)."""
        pixels = self.bottleneck(self.concat(inputs))  # (B, C, h, w)
        regions = gather_regions(pixels, prev_output)
        return self.cls_seg(self.object_context_block(pixels, regions))


def gather_regions(pixels: Tensor, logits: Tensor) -> Tensor:
    """The mean of the pixels of each region, weighted by how much they belong to it (equation 2).

    Args:
        pixels: (B, C, h, w).
        logits: A segmentation (B, K, h, w); its softmax over the pixels is the weight.

    Returns:
        (B, C, K, 1).
    """
    weights = logits.flatten(2).softmax(dim=2)  # (B, K, N)
    return (pixels.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)  # (B, C, K, 1)
