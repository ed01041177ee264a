"""Every recipe: loads, round-trips, says in its name what it is, is in the metafile, builds."""

import re

import pytest
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope

from hrnet_plugins import ARCHS, HRNetArch
from hrnet_plugins.recipes import MIM_ROOT, framework_of, framework_tool, recipes
from hrnet_plugins.weights.catalog import CATALOG
from support import ROOT

RECIPES = recipes()
NAME = re.compile(
    r'(?P<method>[a-z-]+)_hrnetv2p-(?P<arch>w\d+)(-(?P<levels>\d)l)?(?P<official>-official)?'
    r'(_(?P<schedule>1x|2x))?_coco'
)
EPOCHS = {'1x': (12, [8, 11]), '2x': (24, [16, 22])}
METHODS = {
    'faster-rcnn': 'FasterRCNN',
    'mask-rcnn': 'MaskRCNN',
    'cascade-rcnn': 'CascadeRCNN',
    'fcos': 'FCOS',
}
MMDET_NAMES = {
    ('w18', '1x'): 'faster-rcnn_hrnetv2p-w18-1x_coco.py',
    ('w18', '2x'): 'faster-rcnn_hrnetv2p-w18-2x_coco.py',
    ('w32', '1x'): 'faster-rcnn_hrnetv2p-w32-1x_coco.py',
    ('w32', '2x'): 'faster-rcnn_hrnetv2p-w32_2x_coco.py',
    ('w40', '1x'): 'faster-rcnn_hrnetv2p-w40-1x_coco.py',
    ('w40', '2x'): 'faster-rcnn_hrnetv2p-w40_2x_coco.py',
}


def metafiles():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [yaml.safe_load((ROOT / path).read_text()) for path in index['Import']]


def test_there_is_a_row_for_each_recipe_and_no_other():
    models = [model for metafile in metafiles() for model in metafile['Models']]
    assert {model['Name'] for model in models} == set(RECIPES)
    assert all((ROOT / model['Config']).resolve() == RECIPES[model['Name']] for model in models)
    assert len(metafiles()) == len(list(ROOT.glob('configs/*/*/metafile.yml')))


@pytest.mark.parametrize('name', RECIPES)
def test_recipe(name, tmp_path):
    path = RECIPES[name]
    cfg = Config.fromfile(path)
    cfg.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py')._cfg_dict == cfg._cfg_dict

    parts = NAME.fullmatch(name)
    assert parts, f'{name} is not <method>_hrnetv2p-<arch>[-<option>][_<schedule>]_<dataset>'
    channels = list(ARCHS[parts['arch']].channels)
    assert cfg.model.type == METHODS[parts['method']]
    assert cfg.model.backbone.type == 'hrnet_plugins.HRNet'
    assert cfg.model.backbone.arch == parts['arch']
    assert cfg.model.neck.in_channels == cfg.hrnet_channels == channels
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=f'hrnet://{parts["arch"]}')
    assert parts['arch'] in CATALOG
    assert framework_of(path) == 'mmdet'
    assert bool(parts['schedule']) != bool(parts['official']), 'a recipe trains, or tests official weights'
    if parts['schedule']:
        epochs, steps = EPOCHS[parts['schedule']]
        assert cfg.train_cfg.max_epochs == epochs
        assert [s.milestones for s in cfg.param_scheduler if s.type == 'MultiStepLR'] == [steps]
    else:
        assert cfg.train_dataloader is cfg.val_dataloader is cfg.val_evaluator is None
        assert cfg.test_dataloader.dataset.ann_file == 'annotations/instances_val2017.json'


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_builds(name):
    cfg = Config.fromfile(RECIPES[name])
    init_default_scope('mmdet')
    from mmdet.registry import MODELS  # noqa: PLC0415

    model = MODELS.build(cfg.model)
    assert model.neck.in_channels == model.backbone.out_channels


def without_scope(value):
    """A config without the mark that mmengine leaves where it crossed from one package into another."""
    if isinstance(value, dict):
        return {k: without_scope(v) for k, v in value.items() if k != '_scope_'}
    return type(value)(map(without_scope, value)) if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(('width', 'schedule'), MMDET_NAMES)
def test_recipe_is_mmdets_but_for_the_classes(width, schedule):
    theirs = Config.fromfile(
        framework_tool('mmdet', 'test').parents[1] / 'configs' / 'hrnet' / MMDET_NAMES[width, schedule]
    ).to_dict()
    ours = Config.fromfile(RECIPES[f'faster-rcnn_hrnetv2p-{width}_{schedule}_coco']).to_dict()
    for key in ('hrnet', 'hrnet_channels'):
        ours.pop(key)
    backbone, neck = theirs['model'].pop('backbone'), theirs['model'].pop('neck')
    ours_backbone, ours_neck = ours['model'].pop('backbone'), ours['model'].pop('neck')
    theirs.pop('max_epochs', None)  # a name that the 2x schedule of one stack leaves behind; train_cfg has the number
    assert without_scope(ours) == without_scope(theirs)
    assert ours_neck == {**neck, 'type': 'hrnet_plugins.HRFPN', 'num_outs': 5}
    theirs_name = backbone['init_cfg']['checkpoint'].removeprefix('open-mmlab://msra/hrnetv2_')
    assert ours_backbone['init_cfg']['checkpoint'] == f'hrnet://{theirs_name}', 'the same weights'
    assert HRNetArch.of(backbone['extra']) == ARCHS[ours_backbone['arch']]
    assert ours_backbone['norm_eval'], "mmdet's default, said aloud"


@pytest.mark.parametrize('name', [name for name in ARCHS if 'small' not in name])
def test_every_width_has_its_fragment(name):
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / f'hrnet_{name}.py')
    assert cfg.hrnet.arch == name
    assert cfg.hrnet.init_cfg.checkpoint.removeprefix('hrnet://') in CATALOG
    assert tuple(cfg.hrnet_channels) == ARCHS[name].channels


def test_wheel_layout_is_linked():
    assert (MIM_ROOT / 'model-index.yml').is_file()
    assert {'train.py', 'test.py'} <= {path.name for path in (MIM_ROOT / 'tools').iterdir()}
