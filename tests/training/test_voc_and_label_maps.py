# ruff: noqa: E501, a table reads best with a row a line
"""Mistakes in PASCAL VOC files and in label maps are told before the first step, with the file."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from hrnet_plugins.training.config_check import check_config
from tests.helpers import toy_training
from tests.helpers.mistakes import coco, write

pytestmark = pytest.mark.frameworks  # a dataset's class says its classes, and the check imports it by name

OBJECT = '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>'
FILE = '<annotation><size><width>80</width><height>60</height></size>{}</annotation>'
GOOD = OBJECT.format('cat', 5, 5, 20, 20) + OBJECT.format('dog', 30, 30, 60, 50)


@pytest.fixture
def voc(tmp_path):
    for folder in ('Annotations', 'JPEGImages'):
        (tmp_path / folder).mkdir()
    for name in 'ab':
        (tmp_path / 'Annotations' / f'{name}.xml').write_text(FILE.format(GOOD))
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / 'JPEGImages' / f'{name}.jpg')
    (tmp_path / 'train.txt').write_text('a\nb\n')
    return tmp_path


def detector(folder, **changes):
    dataset = dict(
        type='VOCDataset', data_root=str(folder), ann_file='train.txt', data_prefix=dict(sub_data_root=''),
        metainfo=dict(classes=('cat', 'dog')), **changes,
    )  # fmt: skip
    head = dict(type='Shared2FCBBoxHead', num_classes=2)
    return dict(
        default_scope='mmdet',
        model=dict(type='FasterRCNN', roi_head=dict(type='StandardRoIHead', bbox_head=head)),
        train_dataloader=dict(dataset=dataset),
    )


def test_what_is_fine_passes(voc):
    assert check_config(detector(voc)) == []


def _objects(text):
    return lambda folder: (folder / 'Annotations' / 'a.xml').write_text(FILE.format(text))


def _box(*corners):
    return _objects(GOOD + OBJECT.format('cat', *corners))


def _both(text):
    return lambda folder: [(folder / 'Annotations' / f'{name}.xml').write_text(FILE.format(text)) for name in 'ab']


VOC_MISTAKES = {
    'no list': (lambda f: (f / 'train.txt').unlink(), 'error', 'train.txt: there is no such file'),
    'empty list': (lambda f: (f / 'train.txt').write_text('\n'), 'error', 'names no picture at all'),
    'no annotations': (lambda f: (f / 'Annotations' / 'a.xml').unlink(), 'error', '1 files of annotations are not there'),
    'cut off': (lambda f: (f / 'Annotations' / 'a.xml').write_text(FILE[:20]), 'error', '1 files of annotations are no XML'),
    'no area': (_box(9, 9, 9, 30), 'warning', '1 boxes of no area'),
    'no box with area': (_both(OBJECT.format('cat', 9, 9, 9, 30)), 'error', '2 boxes of no area'),
    'a word for a number': (_objects(GOOD.replace('<name>cat', '<difficult>Unspecified</difficult><name>cat')), 'warning', '1 fields that mmdet may not read'),
    'cut-off picture': (
        lambda f: (f / 'JPEGImages' / 'a.jpg').write_bytes((f / 'JPEGImages' / 'a.jpg').read_bytes()[:-40]), 'error', 'a.jpg (OSError)'
    ),
    'negative': (_box(30, 9, 10, 30), 'error', '1 boxes of negative size'),
    'NaN': (_box('nan', 9, 10, 30), 'error', '1 boxes that are NaN or infinite'),
    'text': (_box('left', 9, 10, 30), 'error', '1 objects without a name or four numbers'),
    'no name': (_objects(GOOD.replace('cat', '')), 'error', '1 objects without a name'),
    'outside': (_box(200, 9, 210, 30), 'warning', '1 of 5 boxes are wholly outside of their pictures'),
    'reaching out': (_box(60, 9, 110, 30), 'warning', '1 boxes reach out of their pictures'),
    'other classes': (_both(GOOD.replace('cat', 'x').replace('dog', 'y')), 'error', 'nothing would be learnt. Set `metainfo='),
    'a class more': (_objects(GOOD.replace('dog', 'cow')), 'warning', '1 objects of cow are left out'),
    'a class less': (_both(GOOD.replace('dog', 'cat')), 'warning', 'have no object of dog'),
    'no objects': (_both(''), 'error', 'have no object at all'),
    'no picture': (lambda f: (f / 'JPEGImages' / 'a.jpg').unlink(), 'error', '1 of 2 pictures of'),
    'another size': (
        lambda f: Image.fromarray(np.zeros((60, 40, 3), np.uint8)).save(f / 'JPEGImages' / 'a.jpg'), 'error', 'a.jpg is 40x60, its entry says 80x60'
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', VOC_MISTAKES)
def test_mistakes_in_voc_files(name, voc):
    change, severity, said = VOC_MISTAKES[name]
    change(voc)
    told = [finding for finding in check_config(detector(voc)) if said in finding.text]
    assert told, check_config(detector(voc))
    assert told[0].severity == severity


@pytest.fixture
def maps(tmp_path):
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
    for name in 'ab':
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(tmp_path / 'images' / f'{name}.jpg')
        Image.fromarray(values()).save(tmp_path / 'labels' / f'{name}.png')
    return tmp_path


def values(*more, reduce=False, size=(60, 80)):
    found = np.zeros(size, np.uint8)
    found[:10], found[10:20], found[20:30] = 1, 2, 255
    found += np.uint8(reduce)
    for i, value in enumerate(more):
        found[40 + i] = value
    return found


def segmentor(folder, **changes):
    dataset = dict(
        type='BaseSegDataset', data_root=str(folder), data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=('sky', 'road', 'car')), **changes,
    )  # fmt: skip
    return dict(
        default_scope='mmseg',
        model=dict(type='EncoderDecoder', decode_head=dict(type='FCNHead', num_classes=3)),
        train_dataloader=dict(dataset=dataset),
    )


def _save(array, name='a.png'):
    return lambda folder: Image.fromarray(array).save(folder / 'labels' / name)


MAP_MISTAKES = {
    'no folder': (lambda f: (f / 'labels').rename(f / 'masks'), {}, 'error', 'see `data_prefix.seg_map_path`'),
    'no map': (lambda f: (f / 'labels' / 'a.png').unlink(), {}, 'error', '1 of 2 label maps are not there'),
    'other suffix': (lambda f: None, dict(seg_map_suffix='_gt.png'), 'error', '2 of 2 label maps are not there; see `seg_map_suffix`'),
    'no pictures': (lambda f: None, dict(img_suffix='.tif'), 'error', "with the suffix '.tif'; see `img_suffix`"),
    'a value too many': (_save(values(7)), {}, 'error', 'a.png has 7'),
    'reduced': (lambda f: None, dict(reduce_zero_label=True), None, ''),
    'counted from 1': (_save(values(3)), {}, 'error', 'the classes are 0 to 2'),
    'colours': (_save(np.zeros((60, 80, 3), np.uint8)), {}, 'error', '1 of 2 label maps hold colours'),
    'another size': (_save(values(size=(60, 70))), {}, 'error', 'a.png is 70x60, its picture 80x60'),
    'damaged': (lambda f: (f / 'labels' / 'a.png').write_bytes(b'no'), {}, 'error', 'label maps cannot be read'),
    'no list': (lambda f: None, dict(ann_file='train.txt'), 'error', 'train.txt: there is no such file'),
    'empty': (lambda f: [_save(np.full((60, 80), 255, np.uint8), f'{n}.png')(f) for n in 'ab'], {}, 'error', 'have no label but 255'),
    'black and white': (
        lambda f: [_save(np.uint8(255) * (values() == 0), f'{n}.png')(f) for n in 'ab'], {}, 'warning', 'the values 0 and 255 only'
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', MAP_MISTAKES)
def test_mistakes_in_label_maps(name, maps):
    assert check_config(segmentor(maps)) == []
    change, options, severity, said = MAP_MISTAKES[name]
    change(maps)
    found = check_config(segmentor(maps, **options))
    if severity is None:
        assert found == []
        return
    told = [finding for finding in found if said in finding.text]
    assert told, found
    assert told[0].severity == severity


def test_a_list_names_the_maps(maps):
    (maps / 'train.txt').write_text('a\n')
    (maps / 'labels' / 'b.png').unlink()
    assert check_config(segmentor(maps, ann_file='train.txt')) == []


@pytest.mark.parametrize('taken', ['categories', 'images', 'annotations'])
def test_it_is_told_before_the_datasets_are_built(tmp_path, taken):
    content = coco()
    del content[taken]
    write(tmp_path, content)
    dataset = dict(type='CocoDataset', data_root=str(tmp_path), ann_file='train.json', data_prefix=dict(img=''))
    loader = dict(dataset=dataset, sampler=dict(type='DefaultSampler', shuffle=True), batch_size=1)
    config = dict(
        default_scope='mmdet',
        train_dataloader=loader,
        custom_hooks=[dict(type='hrnet_plugins.CheckRunHook')],
    )
    runner = toy_training.runner(tmp_path / 'work', cfg=Config(config), **config)
    with pytest.raises(ValueError, match=f'has no list `{taken}`'):
        runner.train()
