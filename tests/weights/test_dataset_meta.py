"""Classes and palette go with weights, and .safetensors files are read where mmengine reads a checkpoint."""

import sys

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint
from mmseg.datasets import ADE20KDataset, CityscapesDataset

import hrnet_plugins.mmengine_hooks  # noqa: F401
from hrnet_plugins.cli import main
from hrnet_plugins.models import HRNet
from hrnet_plugins.recipes import meta_of_config, meta_of_recipe, recipe_path
from hrnet_plugins.weights import load_state_dict, save
from hrnet_plugins.weights.checkpoint_io import load_with_meta
from hrnet_plugins.weights.dataset_meta import meta_of_weight
from tests.helpers.networks import TINY, fill

META = dict(dataset_meta=dict(classes=('sky', 'road'), palette=[[1, 2, 3], [4, 5, 6]]))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('meta', [META, {}], ids=['known', 'unknown'])
def test_written_and_read_again(suffix, meta, tmp_path):
    path = tmp_path / f'a{suffix}'
    state = fill(HRNet(TINY)).state_dict()
    save(state, path, meta=meta)
    assert load_with_meta(path)[1] == meta
    assert load_state_dict(path).keys() == state.keys()
    model = HRNet(TINY)
    loaded = load_checkpoint(model, str(path), map_location='cpu')
    assert ('dataset_meta' in loaded['meta']) == bool(meta)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    HRNet(TINY, init_cfg=dict(type='Pretrained', checkpoint=str(path))).init_weights()


def test_a_bare_safetensors_file_has_meta_for_mmseg(tmp_path):
    save({'a': torch.ones(1)}, tmp_path / 'a.safetensors')
    assert CheckpointLoader.load_checkpoint(str(tmp_path / 'a.safetensors'))['meta'] == {}


@pytest.mark.parametrize(
    ('name', 'cls'), [('ocr_w48_ade20k', ADE20KDataset), ('seg_w48_cityscapes', CityscapesDataset)]
)
def test_named_weights_have_the_classes_of_their_data_set(name, cls):
    meta = meta_of_weight(name, import_framework=True)['dataset_meta']
    assert list(meta['classes']) == list(cls.METAINFO['classes'])
    assert meta['palette'] == [list(colour) for colour in cls.METAINFO['palette']]
    assert meta_of_weight('w18', import_framework=True) == {}


@pytest.mark.parametrize(
    ('recipe', 'classes'), [('fcn_hrnetv2-w48_120e_ade20k-520x520', 150), ('faster-rcnn_hrnetv2p-w18_1x_coco', 80)]
)
def test_recipes_know_their_classes(recipe, classes):
    meta = meta_of_recipe(recipe_path(recipe))['dataset_meta']
    assert len(meta['classes']) == len(meta['palette']) == classes


@pytest.mark.parametrize(
    'words', [('dataset_meta', 'classes', 'palette'), ('', 'CLASSES', 'PALETTE')], ids=['new', 'old']
)
def test_converting_keeps_what_the_file_says(words, tmp_path):
    place, classes, palette = words
    said = {classes: ['sky', 'road'], palette: [[1, 2, 3], [4, 5, 6]]}
    source, out = tmp_path / 'a.pth', tmp_path / 'b.safetensors'
    torch.save(dict(state_dict=fill(HRNet(TINY)).state_dict(), meta={place: said} if place else said), source)
    done = CliRunner().invoke(main, ['convert', str(source), str(out)])
    assert done.exit_code == 0, done.output
    assert load_with_meta(out)[1] == META


def test_sets_inside_wrappers_have_their_classes():
    inside = dict(type='CocoDataset', metainfo=dict(classes=('cat', 'dog')))
    for dataset in (inside, dict(type='RepeatDataset', dataset=inside), dict(type='Both', datasets=[inside, inside])):
        cfg = Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=dataset)))
        assert meta_of_config(cfg)['dataset_meta']['classes'] == ('cat', 'dog')
    assert meta_of_config(Config(dict(default_scope='mmdet'))) == {}


def test_a_framework_that_is_not_there_is_no_error(monkeypatch):
    """Weights load without their classes where the framework of their data set is not imported, or cannot be."""
    monkeypatch.setitem(sys.modules, 'mmseg.datasets', None)
    assert meta_of_weight('ocr_w48_ade20k', import_framework=True) == {}
    monkeypatch.delitem(sys.modules, 'mmseg.models', raising=False)
    assert meta_of_weight('ocr_w48_ade20k') == {}
    assert meta_of_weight('no such name') == {}
