"""Full models of the frameworks around our parts, built from config dicts as a user's config builds them."""

from __future__ import annotations

import importlib
import warnings

from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from hrnet_plugins import HRNetArch


def build(framework: str, config: dict) -> nn.Module:
    with DefaultScope.overwrite_default_scope(framework):
        registry = importlib.import_module(f'{framework}.registry').MODELS
        importlib.import_module(f'{framework}.models')
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', '``build_loss`` would be deprecated', UserWarning)  # mmseg 1.2.2
            return registry.build(ConfigDict(config)).eval()


def backbone(arch: str | HRNetArch, **options) -> dict:
    return dict(type='hrnet_plugins.HRNet', arch=arch, **options)


def classifier(arch: str | HRNetArch, *, num_classes: int = 1000, **fuse) -> nn.Module:
    head = dict(type='LinearClsHead', num_classes=num_classes, in_channels=fuse.get('out_channels', 2048))
    neck = dict(type='hrnet_plugins.HRFuseScales', in_channels=HRNetArch.of(arch).channels, **fuse)
    return build(
        'mmpretrain',
        dict(
            type='ImageClassifier',
            backbone=backbone(arch),
            neck=[neck, dict(type='GlobalAveragePooling')],
            head=head,
        ),
    )


def _fcn(arch: str | HRNetArch, num_classes: int) -> dict:
    channels = HRNetArch.of(arch).channels
    return dict(
        type='FCNHead',
        in_channels=list(channels),
        in_index=list(range(len(channels))),
        channels=sum(channels),
        input_transform='resize_concat',
        kernel_size=1,
        num_convs=1,
        concat_input=False,
        dropout_ratio=-1,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        align_corners=True,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    )


def segmentor(arch: str | HRNetArch, num_classes: int) -> nn.Module:
    return build(
        'mmseg',
        dict(
            type='EncoderDecoder',
            backbone=backbone(arch, upsample='bilinear', align_corners=True),
            decode_head=_fcn(arch, num_classes),
            test_cfg=dict(mode='whole'),
        ),
    )


def ocr_segmentor(
    arch: str | HRNetArch, num_classes: int, *, channels: int = 512, ocr_channels: int = 256
) -> nn.Module:
    fcn = _fcn(arch, num_classes)
    ocr = {
        key: fcn[key]
        for key in ('in_channels', 'in_index', 'input_transform', 'dropout_ratio', 'num_classes', 'loss_decode')
    }
    ocr |= dict(type='OCRHead', channels=channels, ocr_channels=ocr_channels, norm_cfg=dict(type='BN'))
    return build(
        'mmseg',
        dict(
            type='CascadeEncoderDecoder',
            num_stages=2,
            backbone=backbone(arch, upsample='bilinear', align_corners=True),
            decode_head=[fcn, {**ocr, 'align_corners': True}],
            test_cfg=dict(mode='whole'),
        ),
    )


def _neck(arch: str | HRNetArch, channels: int, **options) -> dict:
    in_channels = HRNetArch.of(arch).channels
    return dict(type='hrnet_plugins.HRFPN', in_channels=in_channels, out_channels=channels, **options)


def fcos(
    arch: str | HRNetArch,
    *,
    num_classes: int = 80,
    channels: int = 256,
    levels: int = 5,
    stride: int = 2,
    stacked_convs: int = 4,
) -> nn.Module:
    head = dict(
        type='FCOSHead',
        num_classes=num_classes,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=stacked_convs,
        conv_bias=True,
        strides=[4 * stride << i for i in range(levels)],
        regress_ranges=[(0, 1)] * levels,
    )
    neck = _neck(arch, channels, num_outs=levels, stride=stride)
    return build('mmdet', dict(type='FCOS', backbone=backbone(arch), neck=neck, bbox_head=head, test_cfg={}))


def two_stage(
    kind: str, arch: str | HRNetArch, *, num_classes: int, channels: int = 16, hidden: int = 12, levels: int = 5
) -> nn.Module:
    """``'faster'``, ``'mask'``, ``'cascade'`` or ``'cascade-mask'`` R-CNN, or ``'htc'``."""
    cascade = kind == 'htc' or 'cascade' in kind
    extractor = dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
        out_channels=channels,
        featmap_strides=[4, 8, 16, 32],
    )
    box = dict(
        type='Shared2FCBBoxHead',
        in_channels=channels,
        fc_out_channels=hidden,
        num_classes=num_classes,
        reg_class_agnostic=cascade,
    )
    roi_head = dict(
        type='CascadeRoIHead' if cascade else 'StandardRoIHead',
        bbox_roi_extractor=extractor,
        bbox_head=[dict(box) for _ in range(3)] if cascade else box,
    )
    if cascade:
        roi_head.update(num_stages=3, stage_loss_weights=[1, 0.5, 0.25])
    if kind == 'htc' or 'mask' in kind:
        roi_head['mask_roi_extractor'] = {**extractor, 'roi_layer': {**extractor['roi_layer'], 'output_size': 14}}
        roi_head['mask_head'] = dict(
            type='FCNMaskHead',
            num_convs=2,
            in_channels=channels,
            conv_out_channels=channels,
            num_classes=num_classes,
        )
    if kind == 'htc':
        head = {**roi_head['mask_head'], 'type': 'HTCMaskHead'}
        semantic = {**extractor, 'roi_layer': {**extractor['roi_layer'], 'output_size': 14}, 'featmap_strides': [8]}
        roi_head.update(
            type='HybridTaskCascadeRoIHead',
            interleaved=True,
            mask_info_flow=True,
            mask_head=[{**head, 'with_conv_res': i > 0} for i in range(3)],
            semantic_roi_extractor=semantic,
            semantic_head=dict(
                type='FusedSemanticHead',
                num_ins=levels,
                fusion_level=1,
                num_convs=1,
                in_channels=channels,
                conv_out_channels=channels,
                num_classes=183,
                loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, loss_weight=0.2),
            ),
        )
    rpn = dict(
        type='RPNHead',
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4 << i for i in range(levels)]
        ),
    )
    return build(
        'mmdet',
        dict(
            type='HybridTaskCascade'
            if kind == 'htc'
            else 'CascadeRCNN'
            if cascade
            else 'MaskRCNN'
            if 'mask' in kind
            else 'FasterRCNN',
            backbone=backbone(arch),
            neck=_neck(arch, channels, num_outs=levels),
            rpn_head=rpn,
            roi_head=roi_head,
            train_cfg=None,
            test_cfg=dict(rpn=dict(), rcnn=dict()),
        ),
    )
