"""Segmentation models of the recipes, made small, and mmseg's own beside them."""

from __future__ import annotations

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from hrnet_plugins import HRNetArch
from tests.helpers.configs import config_of
from tests.helpers.frameworks import build as build_in
from tests.helpers.networks import TINY, extra_of
from tests.helpers.paths import ROOT

MODELS = ROOT / 'configs' / '_base_' / 'models'


def heads(model_cfg):
    """Configs of the decode heads, one or several."""
    head = model_cfg['decode_head']
    return head if isinstance(head, list) else [head]


def shrink(model_cfg) -> None:
    """Give a recipe's model a tiny network, which learns from scratch; losses and test settings stay."""
    model_cfg.backbone.update(arch=TINY, init_cfg=None)
    for head in heads(model_cfg):
        head.in_channels = TINY.channels
    if len(heads(model_cfg)) == 2:
        model_cfg.decode_head[1].update(channels=16, ocr_channels=8)


def plain(arch=TINY, *, num_classes=19, align_corners=False, test_cfg=None, **head) -> nn.Module:
    """The plain model of the fragment."""
    name = 'fcn_hrnetv2_align-corners' if align_corners else 'fcn_hrnetv2'
    cfg = config_of(MODELS / f'{name}.py').model
    cfg.backbone.update(type='hrnet_plugins.HRNet', arch=arch)
    cfg.decode_head.update(in_channels=HRNetArch.of(arch).channels, num_classes=num_classes, **head)
    return build(cfg, test_cfg)


def ocr(arch=TINY, *, num_classes=19, align_corners=True, test_cfg=None, **head) -> nn.Module:
    """The OCR model of the fragment, with ``head`` for its second head."""
    cfg = config_of(MODELS / 'ocr_hrnetv2.py').model
    cfg.backbone.update(type='hrnet_plugins.HRNet', arch=arch, align_corners=align_corners)
    for part in cfg.decode_head:
        part.update(in_channels=HRNetArch.of(arch).channels, num_classes=num_classes, align_corners=align_corners)
    cfg.decode_head[1].update(head)
    return build(cfg, test_cfg)


def build(cfg, test_cfg=None) -> nn.Module:
    import hrnet_plugins.seg  # noqa: F401, PLC0415  (as custom_imports does)

    cfg['test_cfg'] = test_cfg or dict(mode='whole')
    return build_in('mmseg', cfg)


def of_mmseg(arch=TINY, *, num_classes=19, channels=512, ocr_channels=256, cascade=True) -> nn.Module:
    """The HRNet of mmseg with its FCNHead and, if asked, its OCRHead, as its own configs put them together."""
    widths = list(HRNetArch.of(arch).channels)
    common = dict(
        in_channels=widths,
        in_index=list(range(len(widths))),
        input_transform='resize_concat',
        dropout_ratio=-1,
        num_classes=num_classes,
        norm_cfg=dict(type='BN'),
        align_corners=False,
    )

    def loss(weight):
        return dict(type='CrossEntropyLoss', avg_non_ignore=True, loss_weight=weight)

    fcn = dict(type='FCNHead', channels=sum(widths), kernel_size=1, num_convs=1, concat_input=False, **common)
    fcn['loss_decode'] = loss(0.4 if cascade else 1.0)
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size_divisor=1),
        backbone=dict(type='mmseg.HRNet', extra=extra_of(HRNetArch.of(arch)), norm_cfg=dict(type='BN')),
        decode_head=fcn,
        test_cfg=dict(mode='whole'),
    )
    if cascade:
        second = dict(type='OCRHead', channels=channels, ocr_channels=ocr_channels, loss_decode=loss(1.0), **common)
        model.update(type='CascadeEncoderDecoder', num_stages=2, decode_head=[fcn, second])
    return build_in('mmseg', model)


def samples(labels: torch.Tensor) -> list[SegDataSample]:
    """Data samples with these labels (B, H, W)."""
    found = []
    for label in labels:
        sample = SegDataSample(gt_sem_seg=PixelData(data=label[None]))
        sample.set_metainfo(dict(ori_shape=tuple(label.shape), img_shape=tuple(label.shape)))
        found.append(sample)
    return found


def labels_of(shape: tuple[int, int, int], num_classes: int = 19) -> torch.Tensor:
    """Labels (B, H, W), a sixth of them ignored."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, num_classes, shape, generator=rng)
    labels[torch.rand(shape, generator=rng) < 1 / 6] = 255
    return labels
