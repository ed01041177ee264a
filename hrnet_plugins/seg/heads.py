"""The HRNetV2 head and the OCR head, on mmseg's base classes and under its state dict names.

Shape legend: B batch, C channels, K classes, h x w size of the finest map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.decode_heads import FCNHead
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.losses import accuracy
from torch import Tensor, nn

from hrnet_plugins.models.conv_norm import ConvModule, has_fixed_statistics, runs_alone
from hrnet_plugins.models.feats import check_feats, concat_feats, conv_norm_of_concat, conv_of_concat, listed_channels
from hrnet_plugins.models.recompute import WithCP, grain_of, run
from hrnet_plugins.models.resizing import resize
from hrnet_plugins.registry import MODELS
from hrnet_plugins.seg.losses import check_class_weight, two_classes
from hrnet_plugins.seg.object_attention import ObjectAttention, gather_regions


def resize_logits(logits: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """(B, K, h, w) -> (B, K, *size), bilinear; as it is where it has the size."""
    size = tuple(size)
    if logits.shape[2:] == size:
        return logits
    return resize(logits, size, align_corners=align_corners)


class _BranchesHead:
    """What both heads do alike: take all branches, or their concatenation, and compare logits with labels."""

    branches: tuple[int, ...]
    align_corners: bool
    ignore_index: int
    num_classes: int
    loss_decode: nn.Module
    dropout: nn.Module | None
    conv_seg: nn.Module

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

    def _classifier(self) -> list[nn.Module]:
        return [module for module in (self.dropout, self.conv_seg) if module is not None]

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
        with_cp: What the backward pass computes again, as in ``HRNet``; here ``'norm'`` keeps the input of the norm
            alone, and anything else that is not False the branches alone.
        efficient_conv_bn_eval: Train a convolution and a batch norm with fixed statistics as one convolution.
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
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
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
        self.with_cp = with_cp
        self.grain = grain_of(with_cp)
        self.efficient_conv_bn_eval = efficient_conv_bn_eval
        self.check_class_weights()

    def forward(self, inputs: Sequence[Tensor] | Tensor) -> Tensor:
        """Maps (B, in_channels[i], h_i, w_i), finest first, or their concatenation -> logits (B, K, h, w)."""
        if isinstance(inputs, Tensor) or not all(map(runs_alone, (self.convs, self.convs[0]))):
            return self.cls_seg(self.convs(self.concat(inputs)))
        check_feats(inputs, self.branches)
        if self.grain != 'norm':
            return run(self._classify, [self], self.grain, list(inputs))
        (layer,) = self.convs
        if has_fixed_statistics(layer.norm):
            return self._classify(list(inputs))
        x = conv_of_concat(layer.conv, inputs, self.branches, align_corners=self.align_corners)
        parts = [layer.norm, *self._classifier()]
        return run(lambda x: self.cls_seg(layer.activate(layer.norm(x))), parts, 'norm', x)

    def _classify(self, feats: list[Tensor]) -> Tensor:
        (layer,) = self.convs
        how = dict(align_corners=self.align_corners, efficient=self.efficient_conv_bn_eval)
        return self.cls_seg(layer.activate(conv_norm_of_concat(layer.conv, layer.norm, feats, self.branches, **how)))


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
        with_cp: What the backward pass computes again, as in ``HRNet``; here ``'norm'`` keeps what convolutions gave
            alone, and anything else that is not False the branches alone.
        efficient_conv_bn_eval: Train a convolution and a batch norm with fixed statistics as one convolution.
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
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
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
        self.with_cp = with_cp
        self.grain = grain_of(with_cp)
        self.check_class_weights()
        cfg = dict(
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            efficient_conv_bn_eval=efficient_conv_bn_eval,
        )
        self.object_context_block = ObjectAttention(channels, ocr_channels, **cfg)
        self.bottleneck = ConvModule(sum(branches), channels, 3, padding=1, **cfg)

    def forward(self, inputs: Sequence[Tensor] | Tensor, prev_output: Tensor) -> Tensor:
        """Branches or their concatenation, and a first segmentation (B, K, h, w) -> logits (B, K, h, w)."""
        if self.grain not in ('', 'norm'):
            return run(self._whole, [self], self.grain, [inputs] if isinstance(inputs, Tensor) else inputs, prev_output)
        layer = self.bottleneck
        if isinstance(inputs, Tensor) or has_fixed_statistics(layer.norm) or not runs_alone(layer):
            return self._objects(layer(self.concat(inputs)), prev_output)
        # Of the convolution backward needs the concatenation, which takes little time to compute again.
        x = run(lambda feats: layer.conv(self.concat(feats)), [layer.conv], 'norm', list(inputs))  # (B, C, h, w)
        parts = [layer.norm, self.object_context_block, *self._classifier()]

        def rest(x: Tensor, prev_output: Tensor) -> Tensor:
            return self._objects(layer.activate(layer.norm(x)), prev_output)

        return run(rest, parts, self.grain, x, prev_output)

    def _whole(self, feats: Sequence[Tensor], prev_output: Tensor) -> Tensor:
        inputs = feats[0] if len(feats) == 1 else feats
        return self._objects(self.bottleneck(self.concat(inputs)), prev_output)

    def _objects(self, pixels: Tensor, prev_output: Tensor) -> Tensor:
        regions = gather_regions(pixels, prev_output)
        return self.cls_seg(self.object_context_block(pixels, regions))
