"""Mistakes in data and configs are told before the first step, with file and number; what is fine passes."""

import copy

import numpy as np
import pytest
from PIL import Image

from hrnet_plugins.training.check_run import checked
from hrnet_plugins.training.coco_check import check_coco
from hrnet_plugins.training.config_check import check_config
from tests.helpers.mistakes import COCO_MISTAKES, CONFIG_MISTAKES, coco, config, write

pytestmark = pytest.mark.frameworks  # a dataset's class says its classes, and the check imports it by name


@pytest.fixture
def data(tmp_path):
    for name in ('a.png', 'b.png'):
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / name)
    write(tmp_path, coco())
    return tmp_path


def test_what_is_fine_passes(data):
    assert check_config(config(data)) == []


@pytest.mark.parametrize('name', COCO_MISTAKES)
def test_mistakes_in_coco_files(name, data):
    change, severity, said = COCO_MISTAKES[name]
    content = coco()
    write(data, change(content) or content)
    found = check_coco(data / 'train.json', classes=('cat', 'dog'), pictures=data)
    told = [finding for finding in found if said in finding.text]
    assert told, found
    assert told[0].severity == severity
    assert 'train.json' in told[0].text


@pytest.mark.parametrize('name', CONFIG_MISTAKES)
def test_mistakes_in_configs(name, data):
    change, severity, said = CONFIG_MISTAKES[name]
    cfg = copy.deepcopy(config(data))
    change(cfg)
    told = [finding for finding in check_config(cfg) if said in finding.text]
    assert told, check_config(cfg)
    assert told[0].severity == severity


def test_folders_of_classes(tmp_path):
    dataset = dict(type='CustomDataset', data_root=str(tmp_path), data_prefix='train')
    cfg = dict(
        default_scope='mmpretrain',
        model=dict(head=dict(type='LinearClsHead', num_classes=2)),
        train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dataset)),
    )

    def told():
        return [(finding.severity, finding.text.replace(str(tmp_path), '')) for finding in check_config(cfg)]

    assert ('error', '/train: there is no such folder; see `data_root` and `data_prefix` of the dataset') in told()
    (tmp_path / 'train').mkdir()
    assert ('error', '/train has no folder for any class') in told()
    for name in ('cat', 'dog'):
        (tmp_path / 'train' / name).mkdir()
    assert told() == [('error', 'folders of classes without a picture: /train/cat, /train/dog')]
    Image.new('RGB', (8, 8)).save(tmp_path / 'train' / 'dog' / 'a.png')
    assert told() == [('warning', 'folders of classes without a picture: /train/cat')]
    Image.new('RGB', (8, 8)).save(tmp_path / 'train' / 'cat' / 'a.png')
    assert told() == []


def test_files_that_are_no_utf8(data):
    path = data / 'train.json'
    text = path.read_text()
    for encoded in (text.encode('utf-16'), b'\xef\xbb\xbf' + text.encode()):  # mmdet's reader stops at both
        path.write_bytes(encoded)
        (finding,) = check_coco(path, classes=None, pictures=data)
        assert finding.severity == 'error' and 'train.json is no JSON in UTF-8' in finding.text


def test_pictures_of_another_size_or_damaged_are_named(data):
    Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(data / 'a.png')
    (data / 'b.png').write_bytes(b'no picture')
    texts = [finding.text for finding in check_coco(data / 'train.json', classes=None, pictures=data)]
    assert any('a.png is 40x60, its entry says 80x60' in text for text in texts)
    assert any('b.png (UnidentifiedImageError)' in text for text in texts)


def test_results_are_kept_until_a_file_changes(data, monkeypatch, tmp_path_factory):
    work = tmp_path_factory.mktemp('work')
    assert checked(config(data), work) == []
    monkeypatch.setattr('hrnet_plugins.training.check_run.check_config', lambda config: 1 / 0)
    assert checked(config(data), work) == []
    content = coco()
    content['annotations'][0]['bbox'] = [1, 2, 0, 5]
    write(data, content)
    with pytest.raises(ZeroDivisionError):
        checked(config(data), work)
