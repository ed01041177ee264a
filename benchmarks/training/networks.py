"""The networks that are trained, ours and upstream's, with the same weights, and one step of each."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import hrnet_plugins.seg
from benchmarks.inference.networks import settle, upstream_backbone
from benchmarks.training.cases import Case
from hrnet_plugins import HRNetArch
from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from hrnet_plugins.recipes import recipes

assert hrnet_plugins.seg  # registers the heads

RECIPES = {
    'hrnetv2': 'fcn_hrnetv2-{}_484e_cityscapes-512x1024',
    'ocr': 'ocr_hrnetv2-{}_484e_cityscapes-512x1024',
}
NUM_CLASSES = 19
Loss = Callable[[nn.Module], Tensor]


@dataclass(frozen=True)
class Training:
    """A model in training mode and its loss.

    Args:
        model: The model.
        loss: Runs the model on the case's images, and gives the loss.
    """

    model: nn.Module
    loss: Loss

    def step(self, dtype: torch.dtype = torch.float32) -> float:
        """Forward and backward; the gradients are then dropped, as an optimizer's step would."""
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype != torch.float32):
            loss = self.loss(self.model)
        loss.backward()
        self.model.zero_grad(set_to_none=True)
        return float(loss.detach())


def ours(case: Case, device: str, **options: Any) -> Training:
    """Our network with options of ``HRNet``; heads and necks get those that they have, too."""
    heads = {key: value for key, value in options.items() if key != 'channels_last'}
    if case.kind == 'pyramid':
        backbone = HRNet(case.arch, **options)
        return _ready(nn.Sequential(backbone, HRFPN(backbone.out_channels, **heads)), case, device)
    if case.kind == 'classifier':
        backbone = HRNet(case.arch, **options)
        return _ready(_Classifier(backbone, HRFuseScales(backbone.out_channels, **heads)), case, device)
    config = _segmentor(case)
    config.backbone.update(options)
    for head in _heads(config):
        head.update(heads)
    return _ready(_build('mmseg', config), case, device)


def upstream(case: Case, device: str) -> Training:
    """The same around the HRNet of mmdet, mmseg or mmpretrain, with that framework's neck or heads."""
    channels = list(HRNetArch.of(case.arch).channels)
    if case.kind == 'pyramid':
        backbone = _build('mmdet', upstream_backbone(case.arch, 'mmdet'))
        neck = _build('mmdet', dict(type='mmdet.HRFPN', in_channels=channels, out_channels=256))
        return _ready(nn.Sequential(backbone, neck), case, device)
    if case.kind == 'classifier':
        backbone = _build('mmpretrain', upstream_backbone(case.arch, 'mmpretrain'))
        neck = _build('mmpretrain', dict(type='mmpretrain.HRFuseScales', in_channels=channels))
        return _ready(_Classifier(backbone, neck), case, device)
    config = _segmentor(case)
    config.backbone = upstream_backbone(case.arch, 'mmseg')
    norm = dict(type='BN')
    config.type = 'mmseg.CascadeEncoderDecoder' if case.kind == 'ocr' else 'mmseg.EncoderDecoder'
    if case.kind == 'ocr':
        config.num_stages = 2
    for i, head in enumerate(_heads(config)):
        loss = head.get('loss_decode') or {}
        kept = dict(num_classes=NUM_CLASSES, in_channels=channels, align_corners=False, norm_cfg=norm)
        common = dict(kept, in_index=[0, 1, 2, 3], input_transform='resize_concat', dropout_ratio=0)
        common['loss_decode'] = dict(type='mmseg.CrossEntropyLoss', loss_weight=loss.get('loss_weight', 1.0))
        head.clear()
        if i == 0:
            head.update(type='mmseg.FCNHead', channels=sum(channels), num_convs=1, kernel_size=1, concat_input=False)
        else:
            head.update(type='mmseg.OCRHead', channels=512, ocr_channels=256)
        head.update(common)
    return _ready(_build('mmseg', config), case, device)


def timms(case: Case, device: str) -> Training:
    """Timm's HRNet, its own maps as ``features_only`` gives them, in front of our neck."""
    backbone = timm.create_model(
        f'hrnet_{case.arch}', features_only=True, feature_location='', out_indices=(1, 2, 3, 4)
    )
    return _ready(nn.Sequential(backbone, HRFPN(HRNetArch.of(case.arch).channels)), case, device)


class _Classifier(nn.Module):
    """Images (B, 3, H, W) -> scores (B, 1000)."""

    def __init__(self, backbone: nn.Module, neck: Any) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.fc = nn.Linear(2048, 1000)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.neck(tuple(self.backbone(images)))[0].mean(dim=(2, 3)))


def _segmentor(case: Case) -> Any:
    config = copy.deepcopy(Config.fromfile(recipes()[RECIPES[case.kind].format(case.arch)]).model)
    config.backbone.update(arch=case.arch, init_cfg=None, align_corners=False)  # all that mmseg's can
    for head in _heads(config):
        head.update(in_channels=HRNetArch.of(case.arch).channels, align_corners=False, dropout_ratio=0)
        # Set, as `update` would keep the weights of the classes.
        head.loss_decode = dict(type='mmseg.CrossEntropyLoss', loss_weight=1.0)
        head.norm_cfg = dict(type='BN')
    config.pop('init_cfg', None)
    return config


def _heads(config: Any) -> list[Any]:
    return config.decode_head if isinstance(config.decode_head, list) else [config.decode_head]


def _build(framework: str, config: Any) -> Any:
    init_default_scope(framework)
    return MODELS.build(config)


def _ready(model: nn.Module, case: Case, device: str) -> Training:
    torch.manual_seed(0)
    settle(model)
    model.to(device).train()
    if case.fixed:
        backbone = model[0] if isinstance(model, nn.Sequential) else model.get_submodule('backbone')
        backbone.norm_eval = True
        for module in model.modules() if case.kind == 'pyramid' else backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    return Training(model, _loss_of(case, device))


def _loss_of(case: Case, device: str) -> Loss:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(case.batch, 3, *case.size, generator=generator).to(device)
    if case.kind == 'pyramid':
        return lambda model: sum(out.float().square().mean() for out in model(images))  # type: ignore[return-value]
    if case.kind == 'classifier':
        classes = torch.randint(0, 1000, (case.batch,), generator=generator).to(device)
        return lambda model: nn.functional.cross_entropy(model(images), classes)
    labels = torch.randint(0, NUM_CLASSES, (case.batch, *case.size), generator=generator).to(device)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    return lambda model: model.parse_losses(model.loss(images, samples))[0]  # type: ignore[operator]
