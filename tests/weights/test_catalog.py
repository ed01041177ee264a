"""The catalog of named weights."""

import dataclasses
import os
import re

import pytest
import yaml

from hrnet_plugins import ARCHS
from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import framework_folder, recipe_path, recipes
from hrnet_plugins.weights import FORMATS, catalog
from tools import weights_catalog

CATALOG = catalog.CATALOG


def test_catalog_rows_are_complete():
    for name, weight in CATALOG.items():
        for value in (weight.score, weight.origin, weight.licence, weight.task, weight.dataset):
            assert value, name
        assert weight.arch in ARCHS, name
        assert weight.sources, name
        for source in weight.sources:
            assert source.url.startswith(('https://', 'hf://')), name
            assert not source.sha256 or int(source.sha256, 16) >= 0, name
            assert os.path.basename(source.file), name
        if weight.part == 'backbone':
            assert f'cls_{name}' in CATALOG
            assert not weight.recipe


def test_formats_are_known():
    formats = {source.format for weight in CATALOG.values() for source in weight.sources}
    assert formats <= {'', *FORMATS}


def test_rows_are_read_as_they_were_written():
    for name, weight in CATALOG.items():
        assert catalog.weight_of(catalog.row_of(name, weight)) == weight


@pytest.mark.frameworks
def test_the_committed_rows_are_what_the_packages_publish():
    roots = weights_catalog.installed()
    found = weights_catalog.written(weights_catalog.catalog(roots))
    assert catalog.ROWS.read_text(encoding='utf-8') == found, 'an installed package has another file: `make catalog`'


@pytest.mark.frameworks
def test_every_file_of_the_installed_frameworks_has_a_name():
    named = {source.url for weight in CATALOG.values() for source in weight.sources}
    count = 0
    for root in weights_catalog.installed().values():
        for model in weights_catalog.files_on_hrnet(root):
            assert model['Weights'] in named, f'{model["Name"]} has no name: `make catalog`'
            count += 1
    assert count == 28 + 58 + 9


@pytest.mark.frameworks
def test_a_new_release_is_noticed(tmp_path):
    root = tmp_path / 'configs'
    folder = root / 'hrnet'
    folder.mkdir(parents=True)
    (folder / 'base.py').write_text("model = dict(backbone=dict(type='HRNet'))\n")
    (folder / 'fcn_new.py').write_text("_base_ = './base.py'\n")
    (folder / 'fcn_old.py').write_text("model = dict(backbone=dict(type='ResNet'))\n")
    models = [
        dict(Name=n, Config=f'configs/hrnet/{n}.py', Weights=f'https://a/{n}.pth') for n in ('fcn_new', 'fcn_old')
    ]
    (folder / 'metafile.yml').write_text(yaml.safe_dump(dict(Models=models)))
    assert [model['Name'] for model in weights_catalog.files_on_hrnet(root)] == ['fcn_new']
    roots = {**weights_catalog.installed(), 'mmseg': root}
    with pytest.raises(ValueError, match=r'mmseg publishes https://a/fcn_new\.pth on HRNet, and no rule names it'):
        weights_catalog.catalog(roots)


def test_one_file_has_one_name():
    """A backbone and the classifier that it is a part of share their files; nothing else does."""
    names = {}
    for name, weight in CATALOG.items():
        for source in weight.sources:
            names.setdefault(source.url, set()).add(name.removeprefix('cls_'))
    assert [found for found in names.values() if len(found) > 1] == []


@pytest.mark.parametrize('name', [name for name, weight in CATALOG.items() if weight.recipe])
def test_what_it_loads_into_is_there_and_published_that_score(name):
    weight = CATALOG[name]
    assert recipe_path(weight.recipe).is_file()
    if '::' in weight.recipe:
        assert recipe_path(weight.recipe).stem == name
        return
    scores = published()[weight.recipe].scores
    numbers = re.findall(r'(?:AP|mIoU|top-1) ([\d.]+)', weight.score)
    if weight.task == 'Image Classification':
        if weight.sources[0].url.startswith(('hf://timm/hrnet_w18.ms_aug', 'hf://timm/hrnet_w18_small')):
            return  # trained otherwise, or the same twice
        shown = {str(round(100 - value, 1)) for value in scores.values()} | set(map(str, scores.values()))
    else:
        shown = set(map(str, scores.values()))
    assert set(numbers) <= shown, f'{weight.score} is none of {scores}'


def test_mmdets_names_are_our_recipes():
    mmdet = [name for name, weight in CATALOG.items() if weight.origin.endswith('open-mmlab/mmdetection')]
    modern = [name for name in mmdet if 'mmdet1' not in name]
    assert len(mmdet) == 28 + 29
    assert set(modern) <= set(recipes())


def test_frameworks_bring_the_configs():
    for framework in ('mmdet', 'mmseg', 'mmpretrain'):
        assert (framework_folder(framework) / 'configs').is_dir()
    with pytest.raises(ValueError, match='the installed mmseg has no config hrnet/nothing'):
        recipe_path('mmseg::hrnet/nothing.py')


def test_rows_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CATALOG['w18'].score = ''
