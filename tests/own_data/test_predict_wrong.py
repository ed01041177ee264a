"""Wrong input of `predict`: one line that names the argument, shows its value and says the fix."""

import os
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from PIL import Image

import hrnet_plugins as hp
from hrnet_plugins.cli import main
from hrnet_plugins.prediction.pictures import find_sources
from hrnet_plugins.prediction.predictor import pipeline_of
from hrnet_plugins.prediction.trained import best_in, config_in, find_trained


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to be in, with a picture, and a work folder of empty files."""
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (64, 48)).save('picture.png')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'own.py').write_text("default_scope = 'mmdet'\n")
    (tmp_path / 'run' / 'epoch_1.pth').write_bytes(b'')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'untrained').mkdir()
    (tmp_path / 'untrained' / 'own.py').write_text('')
    (tmp_path / 'lone').mkdir()
    (tmp_path / 'lone' / 'x.pth').write_bytes(b'')
    return tmp_path


WRONG = {
    'no-work-folder': (['nowhere/run', 'picture.png'], r'`where` \(nowhere/run\) is not there: name a work folder'),
    'unknown-name': (['faster-rcnn_w19', 'picture.png'], r'`where` \(faster-rcnn_w19\) is neither .* It may also be a'),
    'empty-work-folder': (['empty', 'picture.png'], r'`where` \(empty\) is no work folder: it has no config'),
    'untrained': (['untrained', 'picture.png'], r'`where` \(untrained\) has no checkpoint yet: no best_\*\.pth'),
    'config-alone': (['run/own.py', 'picture.png'], r'`where` \(run/own\.py\) is a config: name the checkpoint too'),
    'recipe-alone': (
        ['faster-rcnn_hrnetv2p-w18-syncbn_1x_coco', 'picture.png'],
        r'is a config: name the checkpoint too',
    ),
    'no-checkpoint': (['run/own.py', 'picture.png', '--checkpoint', 'x.pth'], r'`checkpoint` \(x\.pth\) is not there'),
    'lone-checkpoint': (['lone/x.pth', 'picture.png'], r'lone/x\.pth is a checkpoint without a config; name the conf'),
    'two-checkpoints': (
        ['run/epoch_1.pth', 'picture.png', '--checkpoint', 'run/epoch_1.pth'],
        r'is a checkpoint, and `checkpoint` \(run/epoch_1\.pth\) another: name one',
    ),
    'backbone': (['w18', 'picture.png'], r'`where` \(w18\) is the weight of a backbone, which predicts nothing'),
    'weight-and-checkpoint': (
        ['hrnet://fcos_hrnetv2p-w18_1x_coco', 'picture.png', '--checkpoint', 'run/epoch_1.pth'],
        r'is a weight, and `checkpoint`',
    ),
    'no-picture': (['run', 'x.png'], r'`pictures` \(x\.png\) is not there'),
    'empty-pattern': (['run', 'nothing*.png'], r'`pictures` \(nothing\*\.png\) fits no picture or video, of \.avi'),
    'empty-folder': (['run', 'empty'], r'`pictures` \(empty\) has no picture or video in it, of \.avi'),
    'out-file': (['run', 'picture.png', '--out', 'picture.png'], r'`--out` \(picture\.png\) is a file: name a folder'),
    'no-model': (['run', 'picture.png'], r'own\.py has no `model`'),
}


@pytest.mark.parametrize('name', WRONG)
def test_one_line_says_what_is_wrong(name, folder):
    words, message = WRONG[name]
    result = CliRunner().invoke(main, ['predict', *words, *([] if '--out' in words else ['--out', 'shown'])])
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit), result.exception
    assert re.search(message, result.stderr), result.stderr
    assert 'Traceback' not in result.stderr and not (folder / 'shown').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--batch', '0'], r'`batch` \(0\) must be 1 at least'),
        (['--score', '2'], r'`score` \(2\.0\) must be between 0 and 1'),
        (['--dtype', 'int8'], r"`dtype` \('int8'\) must be one of fp32, bf16, fp16"),
        (['--device', 'cuda:77'], r'`device` \(cuda:77\) is not to be had'),
    ],
)
def test_options_out_of_range(options, message, work, tmp_path):
    run = work('classification') / 'run'
    Image.new('RGB', (64, 48)).save(tmp_path / 'picture.png')
    words = ['predict', run, tmp_path / 'picture.png', '--out', tmp_path / 'shown', *options]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 1 and re.search(message, result.stderr), (result.stderr, result.exception)


def test_checkpoints_that_do_not_fit(work, tmp_path):
    folder = work('classification')
    Image.new('RGB', (64, 48)).save(tmp_path / 'picture.png')
    (tmp_path / 'damaged.pth').write_bytes(b'nothing')
    other = next((work('segmentation') / 'run').glob('best_*.pth'))
    for file, message in ((tmp_path / 'damaged.pth', r'damaged\.pth'), (other, r'decode_head')):
        words = ['predict', folder / 'own.py', file, tmp_path / 'picture.png', '--out', tmp_path / 'shown']
        result = CliRunner().invoke(main, list(map(str, words)))
        assert result.exit_code == 1 and re.search(message, result.stderr), (result.stderr, result.exception)
        assert not (tmp_path / 'shown').exists()


def test_python_arguments(work):
    pixels = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r'`where` is a model without `cfg`: make it with `create_model`'):
        hp.predict(torch.nn.Identity(), pixels)
    model = torch.nn.Identity()
    model.cfg = {}
    with pytest.raises(
        ValueError, match=r'`where` is a model, which has its weights, and `checkpoint` \(x\.pth\) others'
    ):
        hp.predict(model, pixels, checkpoint='x.pth')
    with pytest.raises(ValueError, match=r'`pictures` \(float64 of shape \(48, 64\)\) must be paths, or arrays'):
        hp.predict(work('classification') / 'run', np.zeros((48, 64)))
    with pytest.raises(ValueError, match=r'`pictures` \(int\) must be paths'):
        hp.predict(work('classification') / 'run', [3])
    with pytest.raises(ValueError, match=r'`pictures` \(\[\]\) must name a picture'):
        hp.predict(work('classification') / 'run', [])


def test_pipelines_inside_wrappers():
    steps = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    inside = dict(type='X', pipeline=steps)
    several = dict(dataset=dict(type='ConcatDataset', datasets=[inside, dict(type='Y', pipeline=[])]))
    assert pipeline_of(dict(test_dataloader=dict(dataset=inside))) == steps
    assert pipeline_of(dict(val_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=inside)))) == steps
    assert pipeline_of(dict(test_dataloader=several)) == steps
    assert pipeline_of(dict(test_dataloader=None, test_pipeline=steps)) == steps
    assert pipeline_of({}) is None


@pytest.mark.parametrize('steps', [None, [], [dict(type='PackInputs')]])
def test_configs_without_steps_for_a_picture(steps):
    model = torch.nn.Linear(1, 1)
    model.cfg = Config(dict(default_scope='mmpretrain', test_pipeline=steps))
    with pytest.raises(ValueError, match=r'`where`: the config None has no test pipeline that begins with a picture'):
        hp.predict(model, np.zeros((48, 64, 3), np.uint8))


def test_the_newest_of_several(tmp_path):
    for number, name in enumerate(('epoch_1.pth', 'epoch_10.pth', 'old.py', 'own.py')):
        (tmp_path / name).write_text('')
        os.utime(tmp_path / name, (number, number))
    assert config_in(tmp_path).name == 'own.py' and best_in(tmp_path).name == 'epoch_10.pth'
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/run/epoch_1.pth')  # of a folder that was moved
    assert best_in(tmp_path).name == 'epoch_1.pth'
    (tmp_path / 'best_mIoU_epoch_3.pth').write_text('')
    assert best_in(tmp_path).name == 'best_mIoU_epoch_3.pth'
    assert find_trained(tmp_path).folder == tmp_path


def test_sources_are_each_once_and_named_apart(tmp_path):
    for name in ('a/x.jpg', 'b/x.jpg', 'b/x.png', 'b/deep/y.JPG', 'shown/z.jpg', '.hidden/h.jpg', 'b/notes.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text('')
    all_of = find_sources([tmp_path], leave_out=(tmp_path / 'shown').resolve())
    assert [source.name for source in all_of] == ['a/x', 'b/deep/y', 'b/x', 'b/x-2']
    named = find_sources([tmp_path / 'a' / 'x.jpg', tmp_path / 'b', tmp_path / 'b' / 'x.jpg'])
    assert [source.name for source in named] == ['x', 'deep/y', 'x-2', 'x-3']
    pattern = find_sources([str(tmp_path / '*' / 'x.jpg'), str(tmp_path / '**' / '*.JPG')])
    assert [source.name for source in pattern] == ['a/x', 'b/x', 'b/deep/y']
