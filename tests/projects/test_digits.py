"""The digits dataset keeps its promises, and the demo reaches its score."""

import io
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from rich.console import Console

from hrnet_plugins import cli
from hrnet_plugins.data import load
from hrnet_plugins.hub import create_model
from hrnet_plugins.live_line import LiveLine
from projects.digits import data
from projects.digits import demo as demo_module
from projects.digits.report import draw_predictions
from tests.helpers.paths import ROOT
from tests.helpers.processes import run


def test_no_digit_and_no_background_in_both_splits():
    train, val = data.splits()
    assert len(train.digits) + len(val.digits) == 1797
    assert set(val.labels) == set(range(10))
    seen = {digit.tobytes() for digit in train.digits}
    assert not any(digit.tobytes() in seen for digit in val.digits)
    for a, b in zip(train.photos, val.photos, strict=True):
        assert a.shape[1] + b.shape[1] == 640


def test_scenes_are_the_same_every_time():
    first, second = ([data.make_scene(split) for split in data.splits() for _ in range(3)] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.image, b.image)
        assert a.annotations == b.annotations


@pytest.mark.parametrize('split', ['train', 'val'])
def test_boxes_polygons_and_label_maps_agree(digits, split):
    root = digits / 'data' / 'digits'
    coco = json.loads((root / 'annotations' / f'{split}.json').read_text())
    assert len(coco['images']) == data.SCENES[split]
    by_image = {}
    for annotation in coco['annotations']:
        by_image.setdefault(annotation['image_id'], []).append(annotation)
    for image in coco['images'][:20]:
        labels = cv2.imread(str(root / 'semantic' / split / image['file_name']), cv2.IMREAD_UNCHANGED)
        assert cv2.imread(str(root / split / image['file_name'])).shape == (160, 160, 3)
        covered = np.zeros_like(labels)
        for annotation in by_image[image['id']]:
            mask = np.zeros_like(labels)
            for polygon in annotation['segmentation']:
                cv2.fillPoly(mask, [np.array(polygon).reshape(-1, 2)], 1)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x, y, width, height = annotation['bbox']
            assert (x, y) == (columns[0], rows[0])
            assert (x + width, y + height) == (columns[-1] + 1, rows[-1] + 1)
            inside = labels[(mask > 0) & (labels > 0)]
            assert set(inside) == {annotation['category_id']}
            assert (labels == annotation['category_id'])[y : y + height, x : x + width].sum() >= annotation['area']
            covered |= mask
        assert not labels[covered == 0].any()


def test_building_shows_that_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(data, 'SCENES', {'train': 2, 'val': 1})
    clock = iter(range(10000))
    out = io.StringIO()
    data.build(tmp_path / 'digits', line=LiveLine(console=Console(file=out, width=60), clock=lambda: next(clock)))
    first, second, *_ = out.getvalue().splitlines()
    assert first == 'building the digits  5/1800 pictures'  # after 5 seconds, at one a second, then 10 later
    assert second == 'building the digits  15/1800 pictures'


def test_classification_folders(digits):
    root = digits / 'data' / 'digits' / 'classification'
    assert len(list(root.glob('train/*/*.png'))) == 1797 - data.VAL_DIGITS
    assert len(list(root.glob('val/*/*.png'))) == data.VAL_DIGITS
    assert {path.name for path in root.glob('val/*')} == set('0123456789')


def test_interrupted_build_leaves_no_dataset(tmp_path, monkeypatch):
    def full(path, pixels):
        raise OSError('disk full')

    monkeypatch.setattr(data, '_write', full)
    with pytest.raises(OSError, match='disk full'):
        data.build(tmp_path / 'digits')
    assert not (tmp_path / 'digits').exists()
    monkeypatch.undo()
    assert len(list(data.build(tmp_path / 'digits').glob('val/*.png'))) == 100


@pytest.mark.parametrize('recipe', ['mask-rcnn_hrnetv2p-w18-small-v1_5e', 'fcn_hrnetv2-w18-small-v1_6e'])
def test_predictions_are_drawn_beside_the_labels(recipe, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(digits)
    path = ROOT / 'projects' / 'digits' / f'{recipe}_digits.py'
    torch.save({'state_dict': create_model(path).state_dict()}, tmp_path / 'some.pth')
    draw_predictions(path, str(tmp_path / 'some.pth'), tmp_path / 'shown.png')
    grid = cv2.imread(str(tmp_path / 'shown.png'))
    assert grid.shape[0] > 4 * 320 and grid.shape[1] > 6 * 320, 'twelve pairs of scenes'
    assert (grid[:320, :320] != grid[:320, 326:646]).any(), 'labels are not predictions'


def test_label_maps_come_with_the_names_of_their_values(digits):
    content = load(digits / 'data' / 'digits', task='segmentation')
    assert content.classes == ['background', *'0123456789']
    assert {split: len(pictures) for split, pictures in content.splits.items()} == data.SCENES
    assert not content.problems


def test_the_demos_config_is_what_new_writes_for_any_machine(digits, monkeypatch):
    monkeypatch.chdir(digits)
    monkeypatch.setattr(demo_module.Machine, 'here', lambda: demo_module.Machine(8, 'Some GPU', 80.0, bf16=True))
    path = demo_module.write_config(Path('demo/digits.py'))
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.batch_size == 4 and cfg.optim_wrapper.type == 'OptimWrapper'
    assert (digits / 'data/digits/annotations/val.json').samefile(cfg.val_evaluator.ann_file)
    assert not [step for step in cfg.train_pipeline if step.type == 'RandomFlip'], 'a mirrored 2 is no digit'


def test_the_demos_config_names_the_command_that_writes_it(digits, monkeypatch):
    monkeypatch.chdir(digits)
    monkeypatch.setattr(demo_module.Machine, 'here', lambda: demo_module.Machine(demo_module.CORES))
    path = demo_module.write_config(Path('digits.py'))
    text = path.read_text()
    command = re.sub(r'\\\n#', ' ', re.search(r'# (hrnet-plugins new (?:.*\\\n)*.*)', text)[1]).split()
    path.unlink()
    monkeypatch.setattr(sys, 'argv', command)
    done = CliRunner().invoke(cli.main, command[1:])
    assert done.exit_code == 0, done.output
    assert path.read_text() == text


@pytest.mark.slow
def test_demo_reaches_its_score(demo):
    metrics = json.loads((demo / 'demo' / 'metrics.json').read_text())
    assert metrics['coco/bbox_mAP'] >= 0.75
    assert metrics['coco/bbox_mAP_50'] >= 0.95
    last = (demo / 'printed.txt').read_text().strip().splitlines()[-2:]
    assert f'bbox mAP {metrics["coco/bbox_mAP"]:.3f}' in last[0]
    for name in ('predictions.png', 'curves.png'):
        assert name in last[1]
        picture = cv2.imread(str(demo / 'demo' / name))
        assert picture.std() > 10, 'not blank'


@pytest.mark.slow
def test_classifier_reaches_its_score(digits, digits_classifier):
    run(digits, digits_classifier, digits / 'recorded', module='projects.digits.record')
    metrics = json.loads((digits / 'recorded' / 'metrics.json').read_text())
    assert metrics['accuracy/top1'] >= 97
    assert len(metrics['validations']) == 5
    assert metrics['validations'][-1] == {'accuracy/top1': pytest.approx(metrics['accuracy/top1'])}
    assert cv2.imread(str(digits / 'recorded' / 'curves.png')).std() > 10, 'not blank'
