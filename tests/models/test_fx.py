"""``torch.fx`` can follow the network, as mmengine's ``efficient_conv_bn_eval`` needs it."""

import importlib

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from torch import nn

from hrnet_plugins import dropin
from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from tests.helpers.networks import TINY, assert_equal, extra_of, fill, image


class Regression(BaseModel):
    """A backbone and a neck that learn to be silent."""

    def __init__(self, backbone, neck):
        super().__init__()
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.backbone, self.neck = MODELS.build(backbone), MODELS.build(neck)
        self.losses = []

    def init_weights(self):
        fill(self)

    def forward(self, inputs, mode='loss'):
        loss = sum(feat.square().mean() for feat in self.neck(self.backbone(inputs)))
        self.losses.append(loss.item())
        return dict(loss=loss)


BACKBONES = {
    'plain': lambda: HRNet(TINY),
    'recomputing': lambda: HRNet(TINY, with_cp=True),
    'bilinear': lambda: HRNet(TINY, upsample='bilinear', align_corners=False),
    'mmdet drop-in': lambda: dropin.MMDetHRNet(extra_of(TINY)),
    'mmseg drop-in': lambda: dropin.MMSegHRNet(extra_of(TINY)),
    'mmpretrain drop-in': lambda: dropin.MMPretrainHRNet(extra=extra_of(TINY)),
}
NECKS = {
    'plain': lambda: HRFPN(TINY.channels, 16),
    'norms': lambda: HRFPN(TINY.channels, 16, norm_cfg=dict(type='BN')),
    'recomputing': lambda: HRFPN(TINY.channels, 16, with_cp=True, pooling='max', stride=2),
    'mmdet drop-in': lambda: dropin.MMDetHRFPN(list(TINY.channels), 16),
    'fuse': lambda: HRFuseScales(TINY.channels, 24, mid_channels=(8, 16, 24, 40)),
    'mmpretrain drop-in': lambda: dropin.MMPretrainHRFuseScales(TINY.channels, 24),
}


@pytest.fixture(autouse=True)
def _upstreams_names():
    """The drop-in registers its classes when it is imported: upstream's are back after each test."""
    registries = [importlib.import_module(f'{name}.registry').MODELS for name in dropin._REPLACEMENTS]
    before = [dict(registry._module_dict) for registry in registries]
    yield
    for registry, modules in zip(registries, before, strict=True):
        registry._module_dict.clear()
        registry._module_dict.update(modules)


@pytest.mark.parametrize('name', BACKBONES)
def test_a_traced_backbone_computes_the_same_for_every_size(name):
    plain = fill(BACKBONES[name]()).eval()
    traced = torch.fx.symbolic_trace(plain)
    for size in ((64, 64), (33, 97)):
        for a, b in zip(traced(image((2, 3, *size))), plain(image((2, 3, *size))), strict=True):
            assert_equal(a, b)
    with pytest.raises(ValueError, match='`x`'):
        traced(torch.zeros(1, 4, 64, 64))


@pytest.mark.parametrize('name', NECKS)
def test_a_traced_neck_computes_the_same_for_every_size(name):
    backbone = fill(HRNet(TINY)).eval()
    plain = fill(NECKS[name]()).eval()
    traced = torch.fx.symbolic_trace(plain)
    for size in ((64, 64), (33, 97)):
        feats = backbone(image((2, 3, *size)))
        for a, b in zip(traced(feats), plain(feats), strict=True):
            assert_equal(a, b)
    with pytest.raises(ValueError, match='`in_channels`'):
        traced(feats[:2])


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.parametrize('neck', ['norms', 'mmdet drop-in', 'fuse'])
def test_mmengines_fused_convolutions_have_the_same_outputs_and_gradients(backbone, neck):
    def build():
        model = nn.Sequential()
        model.add_module('backbone', BACKBONES[backbone]())
        model.add_module('neck', NECKS[neck]())
        fill(model).train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return model

    plain, fused = build(), build()
    turn_on_efficient_conv_bn_eval(fused, ['backbone', 'neck'])
    x = image((2, 3, 64, 64))
    for a, b in zip(fused(x), plain(x), strict=True):
        assert_equal(a, b)
    for model in (fused, plain):
        sum(out.square().mean() for out in model(x)).backward()
    for (name, a), b in zip(fused.named_parameters(), plain.parameters(), strict=True):
        assert_equal(a.grad, b.grad, 1e-4), name


@pytest.mark.parametrize('scope', ['hrnet_plugins', 'mmdet'])
def test_a_runner_trains_with_the_option(scope, tmp_path):
    """Two steps of a region proposal network by mmengine's runner, with the option on and off."""
    dropin.register()
    losses = [train(scope, tmp_path, options) for options in ({}, dict(efficient_conv_bn_eval=['backbone', 'neck']))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def train(scope, folder, options):
    backbone = dict(type=f'{scope}.HRNet', norm_eval=True)
    backbone |= dict(arch=TINY) if scope == 'hrnet_plugins' else dict(extra=extra_of(TINY))
    neck = dict(type=f'{scope}.HRFPN', in_channels=list(TINY.channels), out_channels=16)
    torch.manual_seed(0)
    runner = Runner(
        Regression(backbone, neck),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=[dict(inputs=image((3, 64, 64), seed)) for seed in range(4)],
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=2,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)),
        default_scope='mmdet',
        experiment_name=f'{scope}{len(options)}',
        cfg=Config(options),
        default_hooks=dict(checkpoint=None, logger=None),
    )
    runner.train()
    return runner.model.losses
