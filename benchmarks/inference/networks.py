"""The networks of a case with the same weights: ours, and the same model around upstream's own HRNet."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import timm
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from benchmarks.inference.cases import Case
from hrnet_plugins import HRNetArch
from hrnet_plugins.models import HRFPN, HRNet
from hrnet_plugins.recipes import recipes

RECIPES = {
    'faster-rcnn': ('mmdet', 'faster-rcnn_hrnetv2p-{}_1x_coco'),
    'ocr': ('mmseg', 'ocr_hrnetv2-{}_484e_cityscapes-512x1024'),
}


@dataclass(frozen=True)
class Networks:
    """A case's network, ours and around upstream's HRNet, in eval mode and float32, and its input.

    Args:
        case: The case.
        ours: Our model.
        upstream: The same with mmdet's or mmseg's HRNet, and mmdet's HRFPN.
        images: Normalised noise (B, 3, H, W).
    """

    case: Case
    ours: nn.Module
    upstream: nn.Module
    images: Tensor

    def timm(self) -> nn.Module:
        """Timm's HRNet, its own maps as ``features_only`` gives them, in front of our neck."""
        backbone = timm.create_model(
            f'hrnet_{self.case.arch}', features_only=True, feature_location='', out_indices=(1, 2, 3, 4)
        )
        ours, neck = self.ours.children()
        backbone.load_state_dict(ours.state_dict(), strict=True)
        return nn.Sequential(backbone, copy.deepcopy(neck)).eval().to(self.images.device)


def networks(case: Case, device: str) -> Networks:
    """Build a case's networks on a device."""
    torch.manual_seed(0)
    if case.kind == 'pyramid':
        backbone = HRNet(case.arch)
        ours: nn.Module = nn.Sequential(backbone, HRFPN(backbone.out_channels))
        settle(ours)
        upstream: nn.Module = nn.Sequential(
            MODELS.build(upstream_backbone(case.arch, 'mmdet')),
            MODELS.build(dict(type='mmdet.HRFPN', in_channels=list(backbone.out_channels), out_channels=256)),
        )
    else:
        framework, recipe = RECIPES[case.kind]
        config = Config.fromfile(recipes()[recipe.format(case.arch)]).model
        init_default_scope(framework)
        if case.kind == 'ocr':
            config.backbone.align_corners = False  # all that mmseg's HRNet can; it is as fast as the other
        ours = _build(config)
        settle(ours)
        config.backbone = upstream_backbone(case.arch, framework)
        if 'neck' in config:
            config.neck.type = 'mmdet.HRFPN'
        upstream = _build(config)
    upstream.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(case.batch, 3, *case.size, generator=torch.Generator().manual_seed(1))
    return Networks(case, ours.eval().to(device), upstream.eval().to(device), images.to(device))


def call(model: Any, case: Case, images: Tensor) -> Any:
    """One inference of a model as its framework makes it, from normalised images to boxes or scores."""
    if case.kind == 'faster-rcnn':
        height, width = case.size
        shape = dict(img_shape=(height, width), ori_shape=(height, width), scale_factor=(1.0, 1.0))
        meta = {**shape, 'pad_shape': (height, width), 'batch_input_shape': (height, width)}
        samples = [DetDataSample(metainfo=meta) for _ in range(len(images))]
        return model(images, samples, mode='predict')
    if case.kind == 'ocr':
        return model(images, mode='tensor')
    return model(images)


def outputs(model: Any, case: Case, images: Tensor) -> list[Tensor]:
    """What is compared between systems: the pyramid of a detector, else all outputs; in float32."""
    found = model.extract_feat(images) if case.kind == 'faster-rcnn' else call(model, case, images)
    return [out.float() for out in ([found] if isinstance(found, Tensor) else found)]


def _build(config: ConfigDict) -> nn.Module:
    config = copy.deepcopy(config)
    for part in (config, config.backbone):
        part.pop('init_cfg', None)
    return MODELS.build(config)


def upstream_backbone(arch: str | HRNetArch, framework: str) -> dict[str, Any]:
    """The config of a framework's own HRNet."""
    stages = enumerate(HRNetArch.of(arch).stages, start=1)
    extra = {
        f'stage{i}': dict(
            num_modules=stage.modules,
            num_branches=len(stage.channels),
            block=stage.block,
            num_blocks=stage.blocks,
            num_channels=stage.channels,
        )
        for i, stage in stages
    }
    return dict(type=f'{framework}.HRNet', extra=extra, norm_eval=False)


def settle(model: nn.Module) -> None:
    """Random weights and statistics, none at its initial value, that keep activations as tame as trained ones do.

    With the initial ones they grow from block to block, and with them what rounding does to the outputs.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.25, 0.75)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
