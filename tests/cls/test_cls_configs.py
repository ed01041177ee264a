"""Every classification recipe: is what its name says, trains as its metafile says, costs what the table says."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.flop_counter import FlopCounterMode

from hrnet_plugins import ARCHS
from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import build_model, framework_of, recipes
from hrnet_plugins.weights.catalog import CATALOG
from tests.helpers.configs import config_of

RECIPES = {name: path for name, path in recipes().items() if published()[name].folder.startswith('cls/')}
NAME = re.compile(r'hrnet-(?P<arch>w\d+(-small-v[12])?)(-(?P<option>cutmix|ssld))?_(?P<epochs>\d+)e_in1k')
FOLDED_BIASES = 256 + 512 + 1024 + 2048
"""Biases of the official head's convolutions, which conversion folds into the norms that follow them."""


def parts_of(name):
    parts = NAME.fullmatch(name)
    assert parts, f'{name} is not hrnet-<arch>[-<option>]_<epochs>e_in1k'
    return parts['arch'].replace('-', '_'), parts['option'], int(parts['epochs'])


def only(transforms, kind):
    (transform,) = (t for t in transforms if t.type == kind)
    return transform


def test_every_published_row_has_a_recipe():
    trained = {parts_of(name)[0] for name in RECIPES if parts_of(name)[1] is None}
    assert trained == set(ARCHS)
    options = {parts_of(name)[:2] for name in RECIPES if parts_of(name)[1]}
    assert options == {(arch, option) for arch in ('w18', 'w48') for option in ('cutmix', 'ssld')}


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_is_what_its_name_says(name):
    arch, option, epochs = parts_of(name)
    cfg = config_of(RECIPES[name])
    assert framework_of(RECIPES[name]) == 'mmpretrain'
    assert cfg.model.backbone.type == 'hrnet_plugins.HRNet'
    assert cfg.model.backbone.arch == arch
    assert 'init_cfg' not in cfg.model.backbone, 'trained from scratch, or from a whole classifier'
    neck, pooling = cfg.model.neck
    assert neck.type == 'hrnet_plugins.HRFuseScales'
    assert tuple(neck.in_channels) == ARCHS[arch].channels
    assert pooling.type == 'GlobalAveragePooling'
    assert neck.out_channels == cfg.model.head.in_channels == 2048
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == 1000
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.load_from == (f'hrnet://cls_{arch}_ssld' if option == 'ssld' else None)
    assert cfg.load_from is None or cfg.load_from.removeprefix('hrnet://') in CATALOG
    assert ('train_cfg' in cfg.model) == (option == 'cutmix')
    if option == 'cutmix':
        assert cfg.model.train_cfg.augments.type == 'CutMix'
        assert cfg.model.head.loss.use_soft


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_trains_as_its_metafile_says(name):
    facts = published()[name].metadata
    cfg = config_of(RECIPES[name])
    optimizer, schedule = cfg.optim_wrapper.optimizer, cfg.param_scheduler
    assert optimizer.type == 'SGD'
    assert facts['Epochs'] == cfg.train_cfg.max_epochs
    assert facts['Batch Size'] == cfg.auto_scale_lr.base_batch_size == 4 * cfg.train_dataloader.batch_size
    assert (facts['Learning Rate'], facts['Momentum']) == (optimizer.lr, optimizer.momentum)
    assert (facts['Nesterov'], facts['Weight Decay']) == (optimizer.nesterov, optimizer.weight_decay)
    assert 'paramwise_cfg' not in cfg.optim_wrapper, 'decay on every parameter'
    if facts['Policy'] == 'step':
        assert (schedule.type, schedule.gamma) == ('MultiStepLR', 0.1)
        assert ', '.join(map(str, schedule.milestones)) == facts['Steps']
    else:
        assert (schedule.type, schedule.T_max) == ('CosineAnnealingLR', facts['Epochs'])
    assert facts['Norm'] == 'BN'
    assert not {'norm_cfg', 'sync_bn'} & {*cfg.model.backbone, *cfg.model.neck[0], *cfg}
    train, test = cfg.train_dataloader.dataset.pipeline, cfg.test_dataloader.dataset.pipeline
    assert only(train, 'RandomResizedCrop').scale == only(test, 'CenterCrop').crop_size == facts['Crop']
    assert only(train, 'RandomFlip').prob == 0.5
    resize = only(test, 'ResizeEdge')
    assert (resize.scale, resize.edge, resize.backend) == (facts['Test Resize'], 'short', 'pillow')
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert cfg.data_preprocessor.std == [58.395, 57.12, 57.375]
    assert cfg.data_preprocessor.to_rgb


@pytest.mark.parametrize('name', RECIPES)
def test_learning_rate_follows_the_number_of_gpus(name):
    cfg = config_of(RECIPES[name])
    options = cfg.optim_wrapper.optimizer.to_dict()
    del options['type']
    options.pop('_scope_', None)
    for gpus in (1, 4, 8):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], **options)
        runner = SimpleNamespace(
            _train_dataloader=cfg.train_dataloader,
            world_size=gpus,
            logger=MMLogger.get_instance('scale'),
            param_schedulers=cfg.param_scheduler,
        )
        Runner.scale_lr(runner, OptimWrapper(optimizer), cfg.auto_scale_lr)
        assert optimizer.param_groups[0]['lr'] == pytest.approx(cfg.optim_wrapper.optimizer.lr * gpus / 4)


def decimals(number):
    return len(str(number).partition('.')[2])


def costs_of(name):
    """What the table states of a recipe's model, and what the model is built from, its loss aside."""
    cfg = config_of(RECIPES[name]).model
    cfg.head.pop('loss')
    cfg.pop('train_cfg', None)
    facts = published()[name].metadata
    return [facts['Parameters (M)'], facts['GFLOPs'], cfg.to_dict()]


@pytest.mark.parametrize('name', [name for name in RECIPES if parts_of(name)[1] is None])
def test_costs_are_the_published_ones(name):
    """The table counts multiply-adds of convolutions and linear layers at 224x224, in units of 2^30."""
    facts = published()[name].metadata
    with torch.device('meta'):
        model = build_model(config_of(RECIPES[name])).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert model(torch.empty(1, 3, 224, 224), mode='tensor').shape == (1, 1000)
    parameters = sum(p.numel() for p in model.parameters())
    for count in (parameters, parameters + FOLDED_BIASES):
        assert round(count / 1e6, 1) == facts['Parameters (M)']
    multiply_adds = counter.get_total_flops() / 2
    assert round(multiply_adds / 2**30, decimals(facts['GFLOPs'])) == facts['GFLOPs']
    assert multiply_adds / 1e9 == pytest.approx(facts['GFLOPs'], rel=0.1)


@pytest.mark.parametrize('name', [name for name in RECIPES if parts_of(name)[1]])
def test_an_option_changes_how_it_trains_and_not_what_it_costs(name):
    arch = parts_of(name)[0].replace('_', '-')
    assert costs_of(name) == costs_of(f'hrnet-{arch}_100e_in1k')


@pytest.mark.parametrize('name', RECIPES)
def test_a_child_config_gives_the_backbone_weights(name, tmp_path):
    child = tmp_path / 'child.py'
    init_cfg = "dict(type='Pretrained', checkpoint='hrnet://w18')"
    child.write_text(f'_base_ = {str(RECIPES[name])!r}\nmodel = dict(backbone=dict(init_cfg={init_cfg}))\n')
    assert Config.fromfile(child).model.backbone.init_cfg.checkpoint == 'hrnet://w18'
    assert 'init_cfg' not in Config.fromfile(RECIPES[name]).model.backbone
