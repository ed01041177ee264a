"""Every recipe: loads, round-trips, says in its name what it is, is in the metafile, builds."""

import re

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from hrnet_plugins import ARCHS, HRNetArch
from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import MIM_ROOT, build_model, framework_of, framework_tool, recipes
from hrnet_plugins.weights.catalog import CATALOG
from tests.helpers.configs import config_of
from tests.helpers.paths import ROOT

RECIPES = recipes()
DET = [name for name, row in published().items() if row.folder.startswith('det/')]
TRAINED = [name for name in DET if not name.endswith(('-official_coco', '-mmdet1_coco'))]
NAME = re.compile(
    r'(?P<method>[a-z-]+)_(hrnetv2p-(?P<arch>w\d+)|r(?P<depth>\d+))(-(?P<levels>\d)l)?(?P<test_only>-official|-mmdet1)?'
    r'(?P<syncbn>-syncbn)?(-(?P<scales>ms|resizecrop))?(_(?P<schedule>1x|2x|3x|20e|28e))?_coco'
)
EPOCHS = {'1x': 12, '2x': 24, '20e': 20, '28e': 28}
ITERATIONS = {'2x': 180000, '3x': 270000}
METHODS = {
    'faster-rcnn': 'FasterRCNN',
    'mask-rcnn': 'MaskRCNN',
    'cascade-rcnn': 'CascadeRCNN',
    'cascade-mask-rcnn': 'CascadeRCNN',
    'htc': 'HybridTaskCascade',
    'fcos': 'FCOS',
}
SCALE_CHOICES = {
    'Resize': None,
    'RandomChoiceResize': 'choice',
    'RandomResize': 'range',
    'hrnet_plugins.RandomResizeCrop': 'resize-crop',
}
MMDET_NAMES = {
    'faster-rcnn_hrnetv2p-w18_1x_coco': 'faster-rcnn_hrnetv2p-w18-1x_coco',
    'faster-rcnn_hrnetv2p-w18_2x_coco': 'faster-rcnn_hrnetv2p-w18-2x_coco',
    'faster-rcnn_hrnetv2p-w32_1x_coco': 'faster-rcnn_hrnetv2p-w32-1x_coco',
    'faster-rcnn_hrnetv2p-w32_2x_coco': 'faster-rcnn_hrnetv2p-w32_2x_coco',
    'faster-rcnn_hrnetv2p-w40_1x_coco': 'faster-rcnn_hrnetv2p-w40-1x_coco',
    'faster-rcnn_hrnetv2p-w40_2x_coco': 'faster-rcnn_hrnetv2p-w40_2x_coco',
    'mask-rcnn_hrnetv2p-w18_1x_coco': 'mask-rcnn_hrnetv2p-w18-1x_coco',
    'mask-rcnn_hrnetv2p-w18_2x_coco': 'mask-rcnn_hrnetv2p-w18-2x_coco',
    'mask-rcnn_hrnetv2p-w32_1x_coco': 'mask-rcnn_hrnetv2p-w32-1x_coco',
    'mask-rcnn_hrnetv2p-w32_2x_coco': 'mask-rcnn_hrnetv2p-w32-2x_coco',
    'mask-rcnn_hrnetv2p-w40_1x_coco': 'mask-rcnn_hrnetv2p-w40_1x_coco',
    'mask-rcnn_hrnetv2p-w40_2x_coco': 'mask-rcnn_hrnetv2p-w40-2x_coco',
    'cascade-rcnn_hrnetv2p-w18_20e_coco': 'cascade-rcnn_hrnetv2p-w18-20e_coco',
    'cascade-rcnn_hrnetv2p-w32_20e_coco': 'cascade-rcnn_hrnetv2p-w32-20e_coco',
    'cascade-rcnn_hrnetv2p-w40_20e_coco': 'cascade-rcnn_hrnetv2p-w40-20e_coco',
    'cascade-mask-rcnn_hrnetv2p-w18_20e_coco': 'cascade-mask-rcnn_hrnetv2p-w18_20e_coco',
    'cascade-mask-rcnn_hrnetv2p-w32_20e_coco': 'cascade-mask-rcnn_hrnetv2p-w32_20e_coco',
    'cascade-mask-rcnn_hrnetv2p-w40_20e_coco': 'cascade-mask-rcnn_hrnetv2p-w40-20e_coco',
    'htc_hrnetv2p-w18_20e_coco': 'htc_hrnetv2p-w18_20e_coco',
    'htc_hrnetv2p-w32_20e_coco': 'htc_hrnetv2p-w32_20e_coco',
    'htc_hrnetv2p-w40_20e_coco': 'htc_hrnetv2p-w40_20e_coco',
    'htc_hrnetv2p-w40_28e_coco': 'htc_hrnetv2p-w40_28e_coco',
    'fcos_hrnetv2p-w18_1x_coco': 'fcos_hrnetv2p-w18-gn-head_4xb4-1x_coco',
    'fcos_hrnetv2p-w18_2x_coco': 'fcos_hrnetv2p-w18-gn-head_4xb4-2x_coco',
    'fcos_hrnetv2p-w18-ms_2x_coco': 'fcos_hrnetv2p-w18-gn-head_ms-640-800-4xb4-2x_coco',
    'fcos_hrnetv2p-w32_1x_coco': 'fcos_hrnetv2p-w32-gn-head_4xb4-1x_coco',
    'fcos_hrnetv2p-w32_2x_coco': 'fcos_hrnetv2p-w32-gn-head_4xb4-2x_coco',
    'fcos_hrnetv2p-w32-ms_2x_coco': 'fcos_hrnetv2p-w32-gn-head_ms-640-800-4xb4-2x_coco',
    'fcos_hrnetv2p-w40-ms_2x_coco': 'fcos_hrnetv2p-w40-gn-head_ms-640-800-4xb4-2x_coco',
}
OUR_NAMES = {'hrnet', 'hrnet_channels', 'levels_5', 'levels_6'}
"""What our fragments export for a recipe to use, and mmdet's configs do not have."""
TAKEN = {'hrnetv2p', 'official'}
"""What our fragments export for another fragment, which takes it out: no recipe has it."""


def metafiles():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]


def test_there_is_a_row_for_each_recipe_and_no_other():
    models = [model for metafile in metafiles() for model in metafile.get('Models', ())]
    assert {model['Name'] for model in models} == set(RECIPES)
    assert all((ROOT / model['Config']).resolve() == RECIPES[model['Name']] for model in models)
    assert len(metafiles()) == len(list(ROOT.glob('configs/**/metafile.yml')))
    assert {model['In Collection'] for model in models} == {'HRNet'}, 'mim searches one collection'


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_loads_and_dumps(name, tmp_path):
    cfg = config_of(RECIPES[name])
    assert not TAKEN & set(cfg)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py')._cfg_dict == cfg._cfg_dict


@pytest.mark.parametrize('name', DET)
def test_name_says_what_it_is(name):
    cfg = config_of(RECIPES[name])
    parts = NAME.fullmatch(name)
    assert parts, f'{name} is not <method>_<backbone>[-<option>][_<schedule>]_<dataset>'
    assert cfg.model.type == METHODS[parts['method']]
    assert ('mask_head' in cfg.model.get('roi_head', {})) == (
        parts['method'] in ('mask-rcnn', 'cascade-mask-rcnn', 'htc')
    )
    assert framework_of(RECIPES[name]) == 'mmdet'
    assert bool(parts['schedule']) != bool(parts['test_only']), 'a recipe trains, or tests weights of another code'
    if parts['arch']:
        assert cfg.model.backbone.type == 'hrnet_plugins.HRNet'
        assert cfg.model.backbone.arch == parts['arch']
        assert cfg.model.neck.in_channels == cfg.hrnet_channels == list(ARCHS[parts['arch']].channels)
        assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=f'hrnet://{parts["arch"]}')
        assert parts['arch'] in CATALOG
    else:
        assert cfg.model.backbone.depth == int(parts['depth'])
    if parts['levels']:
        assert len(cfg.model.bbox_head.strides) == int(parts['levels'])
    if parts['test_only']:
        assert cfg.train_dataloader is cfg.val_dataloader is cfg.val_evaluator is None
        assert cfg.test_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'
        return
    by_iteration = parts['method'] == 'fcos' and parts['levels']
    length = cfg.train_cfg.max_iters if by_iteration else cfg.train_cfg.max_epochs
    assert length == (ITERATIONS if by_iteration else EPOCHS)[parts['schedule']]
    assert (cfg.model.backbone.get('norm_cfg', {}).get('type') == 'SyncBN') == bool(parts['syncbn'])
    ms = 'range' if parts['levels'] else 'choice'  # HRNet-FCOS's own recipes, and all others
    expected = {None: None, 'ms': ms, 'resizecrop': 'resize-crop'}[parts['scales']]
    assert facts(cfg).get('Scale Choice') == expected


def facts(cfg):
    """What a training config does, in the terms of the metafiles."""
    (steps,) = [s for s in cfg.param_scheduler if s.type == 'MultiStepLR']
    by_iteration = cfg.train_cfg.type == 'IterBasedTrainLoop'
    length = cfg.train_cfg.max_iters if by_iteration else cfg.train_cfg.max_epochs
    assert steps.end == length
    (resize,) = [t for t in cfg.train_dataloader.dataset.pipeline if t.type in SCALE_CHOICES]
    scales = resize.get('scales', resize.get('scale'))
    assert cfg.train_dataloader.batch_size * 8 == cfg.auto_scale_lr.base_batch_size
    found = {
        'Iterations' if by_iteration else 'Epochs': length,
        'Learning Rate Steps': ', '.join(map(str, steps.milestones)),
        'Learning Rate': cfg.optim_wrapper.optimizer.lr,
        'Batch Size': cfg.auto_scale_lr.base_batch_size,
        'Scales': ', '.join(f'{long}x{short}' for long, short in (scales if isinstance(scales, list) else [scales])),
        'Norm': norm_of(cfg.model.backbone),
    }
    if SCALE_CHOICES[resize.type]:
        found['Scale Choice'] = SCALE_CHOICES[resize.type]
    if cfg.model.type == 'FCOS':
        found['Levels'] = len(cfg.model.bbox_head.strides)
        assert cfg.model.neck.num_outs == found['Levels']
    return found


def norm_of(backbone):
    norm = backbone.get('norm_cfg', dict(type='BN', requires_grad=True))
    if norm['type'] == 'SyncBN':
        assert not backbone.norm_eval, 'or its statistics would be frozen'
        return 'SyncBN'
    assert backbone.norm_eval
    return 'BN, frozen statistics' if norm['requires_grad'] else 'BN, frozen'


@pytest.mark.parametrize('name', TRAINED)
def test_recipe_is_what_its_metafile_says(name):
    metadata = published()[name].metadata
    found = facts(config_of(RECIPES[name]))
    assert {key: metadata.get(key) for key in found} == found
    assert 'Scale Choice' in found or 'Scale Choice' not in metadata


@pytest.mark.parametrize('name', DET)
def test_recipe_builds(name):
    with torch.device('meta'):
        model = build_model(config_of(RECIPES[name]))
    if NAME.fullmatch(name)['arch']:
        assert model.neck.in_channels == model.backbone.out_channels
    heads = [module for module in model.modules() if hasattr(module, 'num_classes')]
    # The stuff maps have 183; a region proposal is of one class, object.
    assert {head.num_classes for head in heads} - {1, 183} == {80}


def test_syncbn_recipes_pad_as_the_official_code_and_learn_statistics():
    for name in (name for name in TRAINED if 'faster-rcnn' in name and 'syncbn' in name):
        cfg = config_of(RECIPES[name])
        (warm_up, _) = cfg.param_scheduler
        assert (warm_up.type, warm_up.start_factor, warm_up.end) == ('LinearLR', 1 / 3, 500)
        assert cfg.optim_wrapper.clip_grad.max_norm == 35
        pads = cfg.model.data_preprocessor.get('batch_augments')
        sides = {'ms': (1600, 1024), 'resizecrop': (1216, 800), None: None}[NAME.fullmatch(name)['scales']]
        assert pads == (
            sides and [dict(type='hrnet_plugins.BatchOrientedPad', long_side=sides[0], short_side=sides[1])]
        )


@pytest.mark.parametrize('name', [name for name in TRAINED if re.search(r'fcos_.*-\dl', name)])
def test_official_fcos_doubles_the_rate_of_every_bias(name):
    cfg = config_of(RECIPES[name])
    with torch.device('meta'):
        model = build_model(config_of(RECIPES[name]))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    settings = {id(p): group for group in optimizer.param_groups for p in group['params']}
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate, decay = (0.02, 0.0) if 'bias' in key else (0.01, 0.0001)
            assert settings[id(parameter)]['lr'] == pytest.approx(rate), key
            assert settings[id(parameter)]['weight_decay'] == decay, key


def without_scope(value):
    """A config without the mark that mmengine leaves where it crossed from one package into another."""
    if isinstance(value, dict):
        return {k: without_scope(v) for k, v in value.items() if k != '_scope_'}
    return type(value)(map(without_scope, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize('name', MMDET_NAMES)
def test_recipe_is_mmdets_but_for_the_classes(name):
    configs = framework_tool('mmdet', 'test').parents[1] / 'configs' / 'hrnet'
    theirs = config_of(configs / f'{MMDET_NAMES[name]}.py').to_dict()
    ours = {k: v for k, v in config_of(RECIPES[name]).to_dict().items() if k not in OUR_NAMES}
    backbone, neck = theirs['model'].pop('backbone'), theirs['model'].pop('neck')
    ours_backbone, ours_neck = ours['model'].pop('backbone'), ours['model'].pop('neck')
    for key in ('max_epochs', 'train_pipeline'):  # left behind by theirs; train_cfg and the dataset have what they say
        theirs.pop(key, None)
        ours.pop(key, None)
    if 'fcos' in name:
        per_gpu = [cfg['train_dataloader'].pop('batch_size') for cfg in (theirs, ours)]
        assert per_gpu == [4, 2], '16 images: on four GPUs theirs, on eight ours, as all our recipes'
        for cfg in (theirs, ours):
            cfg['train_dataloader'].pop('num_workers')
    if 'htc' in name:
        assert ours.pop('custom_hooks') == [dict(type='hrnet_plugins.StuffMapsHook')]
    hooks = ours['default_hooks']
    assert hooks.pop('check_run') == dict(type='hrnet_plugins.CheckRunHook')
    assert hooks['checkpoint']['type'] == 'hrnet_plugins.CheckpointHook'
    hooks['checkpoint']['type'] = theirs['default_hooks']['checkpoint']['type']
    assert without_scope(ours) == without_scope(theirs)
    assert ours_neck == {'num_outs': 5, **neck, 'type': 'hrnet_plugins.HRFPN'}
    theirs_name = backbone['init_cfg']['checkpoint'].removeprefix('open-mmlab://msra/hrnetv2_')
    assert ours_backbone['init_cfg']['checkpoint'] == f'hrnet://{theirs_name}', 'the same weights'
    assert HRNetArch.of(backbone['extra']) == ARCHS[ours_backbone['arch']]
    assert ours_backbone['norm_eval'], "mmdet's default, said aloud"


@pytest.mark.parametrize('name', ARCHS)
def test_every_width_has_its_fragment(name):
    cfg = config_of(ROOT / 'configs' / '_base_' / f'hrnet_{name}.py')
    assert cfg.hrnet.arch == name
    assert cfg.hrnet.init_cfg.checkpoint.removeprefix('hrnet://') in CATALOG
    assert tuple(cfg.hrnet_channels) == ARCHS[name].channels


def test_wheel_layout_is_linked():
    assert (MIM_ROOT / 'model-index.yml').is_file()
    assert {'train.py', 'test.py'} <= {path.name for path in (MIM_ROOT / 'tools').iterdir()}
