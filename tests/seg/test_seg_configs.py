"""Segmentation recipes: what their names and their metafiles say, and that their page tests each published row."""

import re
import shlex

import pytest
import torch
from mmengine.config import DictAction
from mmengine.optim import build_optim_wrapper

from hrnet_plugins import ARCHS
from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import build_model, framework_of, recipes
from hrnet_plugins.weights.catalog import CATALOG
from tests.helpers.configs import config_of
from tests.helpers.paths import ROOT
from tests.helpers.segmentation import heads, shrink

RECIPES = {name: path for name, path in recipes().items() if path.parents[1].name == 'seg'}
NAME = re.compile(
    r'(?P<method>fcn|ocr)_hrnetv2-(?P<arch>w\d+(-small-v\d)?)_(?P<epochs>\d+)e_(?P<dataset>[a-z0-9-]+?)'
    r'-(?P<height>\d+)x(?P<width>\d+)'
)
DATASETS = {
    'cityscapes': ('CityscapesDataset', 19),
    'cityscapes-trainval': ('ConcatDataset', 19),
    'lip': ('LIPDataset', 20),
    'pascal-context-59': ('PascalContext59Dataset', 59),
    'pascal-context-60': ('PascalContext60Dataset', 60),
    'cocostuff10k': ('COCOStuff10kDataset', 171),
    'ade20k': ('ADE20KDataset', 150),
}
GPUS = 4


def test_every_dataset_has_both_methods_and_every_small_width_a_recipe():
    found = {(m['method'], m['dataset']) for m in map(NAME.fullmatch, RECIPES)}
    assert {method for method, _ in found} == {'fcn', 'ocr'}
    assert {d for m, d in found if m == 'ocr'} == set(DATASETS)
    assert {d for m, d in found if m == 'fcn'} == set(DATASETS) - {'cityscapes-trainval'}
    assert {m['arch'] for m in map(NAME.fullmatch, RECIPES)} == {'w48', 'w18', 'w18-small-v1', 'w18-small-v2'}


@pytest.mark.parametrize('name', RECIPES)
def test_name_says_what_it_is(name):
    cfg = config_of(RECIPES[name])
    parts = NAME.fullmatch(name)
    assert parts, f'{name} is not <method>_<backbone>_<schedule>_<dataset>-<crop>'
    arch = parts['arch'].replace('-', '_')
    assert framework_of(RECIPES[name]) == 'mmseg'
    assert cfg.custom_imports.imports == ['hrnet_plugins.seg']
    assert cfg.model.type == f'hrnet_plugins.{dict(fcn="HRNetSegmentor", ocr="OCRSegmentor")[parts["method"]]}'
    assert cfg.model.backbone.type == 'hrnet_plugins.HRNet'
    assert cfg.model.backbone.arch == arch
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=f'hrnet://{arch}')
    assert arch in CATALOG
    dataset, classes = DATASETS[parts['dataset']]
    assert cfg.train_dataloader.dataset.type.removeprefix('hrnet_plugins.') == dataset
    crop = (int(parts['height']), int(parts['width']))
    assert tuple(cfg.crop_size) == crop
    for head in heads(cfg.model):
        assert head.in_channels == cfg.hrnet_channels == list(ARCHS[arch].channels)
        assert head.num_classes == cfg.num_classes == classes
    assert cfg.train_cfg.max_epochs == int(parts['epochs'])
    assert cfg.model.test_cfg == cfg.fused_test


def pipeline(cfg):
    """The training transforms; those of both halves of a concatenation are the same."""
    dataset = cfg.train_dataloader.dataset
    found = [part.pipeline for part in dataset.get('datasets', [dataset])]
    assert all(steps == found[0] for steps in found)
    return {step.type: step for step in found[0]}


def facts(cfg):
    """What a recipe does, in the terms of the metafiles."""
    (schedule,) = cfg.param_scheduler
    assert (schedule.type, schedule.begin, schedule.end) == ('PolyLR', 0, cfg.train_cfg.max_epochs)
    assert schedule.by_epoch
    assert schedule.convert_to_iter_based
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.momentum) == ('SGD', 0.9)
    assert not optimizer.get('nesterov')
    assert 'clip_grad' not in cfg.optim_wrapper
    assert cfg.train_dataloader.batch_size * GPUS == cfg.auto_scale_lr.base_batch_size
    assert cfg.sync_bn == 'torch'
    assert cfg.custom_hooks == [dict(type='hrnet_plugins.SyncBNFallbackHook')]
    keys = (cfg.optim_wrapper.get('paramwise_cfg') or {}).get('custom_keys', {})
    assert set(keys) <= {'decode_head'}
    parts = heads(cfg.model)
    aligned = {part.align_corners for part in (cfg.model.backbone, *parts)}
    momenta = {(part.get('norm_cfg') or {}).get('momentum', 0.1) for part in (cfg.model.backbone, *parts)}
    assert len(aligned) == len(momenta) == 1
    steps = pipeline(cfg)
    assert tuple(steps['Pad'].size) == tuple(steps['RandomCrop'].crop_size[::-1])
    sides = [side for side, _ in steps['RandomChoiceResize'].scales]
    main = parts[-1].loss_decode
    ohem = main.type == 'hrnet_plugins.OhemCrossEntropy'
    assert not ohem or (main.thresh, main.min_kept) == (0.9, 131072)
    found = {
        'Epochs': cfg.train_cfg.max_epochs,
        'Batch Size': cfg.auto_scale_lr.base_batch_size,
        'Learning Rate': optimizer.lr,
        'Head Learning Rate': pytest.approx(optimizer.lr * keys.get('decode_head', {}).get('lr_mult', 1)),
        'Learning Rate Policy': f'poly {schedule.power} to {schedule.eta_min}',
        'Weight Decay': optimizer.weight_decay,
        'Norm': f'SyncBN, momentum {momenta.pop()}',
        'Align Corners': aligned.pop(),
        'Crop': 'x'.join(map(str, steps['RandomCrop'].crop_size)),
        'Base Size': cfg.model.test_cfg.base_size,
        'Scales': f'0.5 to {round(sides[-1] / cfg.base_size, 1)}',
        'Loss': ('OHEM' if ohem else 'cross entropy') + (', class weights' if 'class_weight' in main else ''),
    }
    if len(parts) == 2:
        first = parts[0].loss_decode
        assert first.type == 'hrnet_plugins.CrossEntropy'
        assert first.get('average', 'valid') == ('all' if ohem else 'valid')
        assert first.get('class_weight') == main.get('class_weight')
        assert (parts[1].channels, parts[1].ocr_channels, parts[1].dropout_ratio) == (512, 256, 0.05)
        found['Auxiliary Loss Weight'] = first.loss_weight
    return found


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_is_what_its_metafile_says(name):
    found = facts(config_of(RECIPES[name]))
    metadata = published()[name].metadata
    assert {key: metadata.get(key) for key in found} == found
    assert ('Auxiliary Loss Weight' in metadata) == name.startswith('ocr')


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_builds(name):
    with torch.device('meta'):
        model = build_model(config_of(RECIPES[name]))
    for head in model.decode_head if name.startswith('ocr') else [model.decode_head]:
        assert head.branches == model.backbone.out_channels
        assert head.align_corners == model.align_corners
        assert head.loss_decode.class_weight is None or len(head.loss_decode.class_weight) == head.num_classes
    assert model._settings() is not None


@pytest.mark.parametrize('name', [name for name in RECIPES if 'w18-small-v1' in name or 'w48_200e' in name])
def test_learning_rates(name):
    cfg = config_of(RECIPES[name])
    with torch.device('meta'):
        model = build_model(config_of(RECIPES[name]))
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    rate = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    decay = {group['weight_decay'] for group in optimizer.param_groups}
    assert decay == {cfg.optim_wrapper.optimizer.weight_decay}, 'weight decay on everything, as published'
    metadata = published()[name].metadata
    for key, parameter in model.named_parameters():
        expected = metadata['Head Learning Rate' if key.startswith('decode_head') else 'Learning Rate']
        assert rate[id(parameter)] == pytest.approx(expected), key


def commands():
    """Recipe, weights and options of each of the page's test commands for a published row, and its comment."""
    text = (ROOT / 'docs' / 'segmentation.md').read_text()
    for line in re.findall(r'^hrnet-plugins test (?:fcn|ocr)_hrnetv2.*$', text, re.MULTILINE):
        command, comment = line.split('  # ')
        _, _, recipe, weights, *options = shlex.split(command)
        yield recipe, weights, options, comment


def test_the_page_has_a_command_for_each_published_row():
    shown = set()
    for recipe, weights, options, comment in commands():
        cfg = config_of(RECIPES[recipe])
        if options:
            assert options[0] == '--cfg-options'
            cfg.merge_from_dict(dict(_option(option) for option in options[1:]))
        shrink(cfg.model)
        settings = build_model(cfg)._settings()
        flip, many = settings.flip, len(settings.scales) > 1
        kind = 'multi-scale, flip' if many and flip else 'flip' if flip else 'single scale'
        if many:
            last = 1.75 if 'cityscapes' in recipe else 2.0
            assert list(settings.scales) == [i / 4 for i in range(2, int(last * 4) + 1)]
        score = published()[recipe].scores[f'mIoU ({kind})']
        assert comment == str(score)
        assert weights.endswith('.pth') or weights.removeprefix('hrnet://') in CATALOG
        if weights.startswith('hrnet://') and kind in ('single scale', 'flip'):
            assert CATALOG[weights.removeprefix('hrnet://')].score.endswith(f' {score}')
        shown.add((recipe, kind))
    rows = {(name, key[len('mIoU (') : -1]) for name in RECIPES for key in published()[name].scores}
    assert shown == rows
    assert len(rows) == 17


def _option(text):
    key, value = text.split('=', 1)
    return key, DictAction._parse_iterable(value)
