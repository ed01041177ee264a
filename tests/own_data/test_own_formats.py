"""Each format in each of its layouts: what `new` writes builds in the real framework and yields the true labels."""

import math

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from hrnet_plugins.data import Machine, load, new
from tests.helpers.own_sets import (
    CLASSES,
    CLASSIFICATION,
    DETECTION,
    GROUND,
    SEGMENTATION,
    UNSPLIT,
    UNSPLIT_MASKS,
    folders_flat,
    sets,
)

CPU = Machine(cores=2)
LAYOUTS = [(name, layout) for name, layouts in DETECTION.items() for layout in layouts]


def write(tmp_path, data='data', **options):
    """The config that `new` writes, loaded."""
    path = new(tmp_path / 'own.py', data=tmp_path / data, machine=CPU, from_scratch=True, **options)
    return Config.fromfile(path)


def build(cfg, loader):
    """The data set of a loader, built in the framework."""
    scope = cfg.default_scope
    if scope == 'mmseg':
        import hrnet_plugins.seg  # noqa: F401, PLC0415
    with DefaultScope.overwrite_default_scope(scope):
        __import__(f'{scope}.datasets')
        return DATASETS.build(cfg[loader].dataset)


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize(('name', 'layout'), LAYOUTS, ids=[layout.__name__ for _, layout in LAYOUTS])
def test_detection_layouts_give_the_true_boxes(tmp_path, name, layout):
    made = sets()
    layout(tmp_path / 'data', made)
    before = files_of(tmp_path / 'data')
    cfg = write(tmp_path)
    assert files_of(tmp_path / 'data') == before, 'the data were changed'
    truth = {one.name: one for rows in made.values() for one in rows}
    seen = {}
    for split in ('train', 'val', 'test'):
        dataset = build(cfg, f'{split}_dataloader')
        assert dataset.metainfo['classes'] == CLASSES
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        seen[split] = {info['img_path'].rsplit('/', 1)[1].split('.')[0] for info in infos}
        for info in infos:
            one = truth[info['img_path'].rsplit('/', 1)[1].split('.')[0]]
            got = {CLASSES[row['bbox_label']]: row['bbox'] for row in info['instances']}
            assert got.keys() == {label for label, _, _ in one.objects}
            for label, box, _ in one.objects:
                assert np.allclose(got[label], box, atol=0.02), (label, got[label], box)
        sample = dataset[0]
        assert len(sample['data_samples'].gt_instances) == 3
    if layout in UNSPLIT:
        assert len(seen['val']) == 2 and seen['train'] | seen['val'] == truth.keys()
        assert not seen['train'] & seen['val'] and seen['test'] == seen['val']
    else:
        assert seen == {split: {one.name for one in rows} for split, rows in made.items()}
    native = 'XMLDataset' if name == 'voc' and layout.__name__ != 'voc_png' else 'CocoDataset'
    assert cfg.train_dataloader.dataset.type == native


@pytest.mark.parametrize('layout', SEGMENTATION, ids=lambda layout: layout.__name__)
def test_segmentation_layouts_give_the_true_labels(tmp_path, layout):
    made = sets()
    layout(tmp_path / 'data', made)
    before = files_of(tmp_path / 'data')
    cfg = write(tmp_path)
    assert files_of(tmp_path / 'data') == before, 'the data were changed'
    truth = {one.name: one for rows in made.values() for one in rows}
    seen = {}
    for split in ('train', 'val', 'test'):
        dataset = build(cfg, f'{split}_dataloader')
        assert tuple(dataset.metainfo['classes']) == GROUND
        seen[split] = set()
        for i in range(len(dataset)):
            name = dataset.get_data_info(i)['img_path'].rsplit('/', 1)[1].split('.')[0]
            seen[split].add(name)
            if split != 'train':
                labels = dataset[i]['data_samples'].gt_sem_seg.data[0].numpy()
                assert np.array_equal(labels, truth[name].labels())
        assert dataset[0]['inputs'].shape[0] == 3
    if layout in UNSPLIT_MASKS:
        assert seen['train'] | seen['val'] == truth.keys() and not seen['train'] & seen['val']
    else:
        assert seen == {split: {one.name for one in rows} for split, rows in made.items()}


@pytest.mark.parametrize('layout', CLASSIFICATION, ids=lambda layout: layout.__name__)
def test_classification_layouts_give_the_true_classes(tmp_path, layout):
    layout(tmp_path / 'data')
    cfg = write(tmp_path)
    names = {}
    for split in ('train', 'val', 'test'):
        dataset = build(cfg, f'{split}_dataloader')
        assert tuple(dataset.metainfo['classes']) == CLASSES
        names[split] = set()
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            assert CLASSES[info['gt_label']] == info['img_path'].split('/')[-2]
            names[split].add(info['img_path'])
        assert dataset[0]['inputs'].shape == (3, 64, 64) if split == 'train' else True
    assert not names['train'] & names['val']


def test_a_made_split_is_seeded_and_keeps_the_shares_of_classes(tmp_path):
    folders_flat(tmp_path / 'data')
    lists = []
    for seed, name in ((0, 'one'), (0, 'two'), (1, 'three')):
        from hrnet_plugins.data import Options  # noqa: PLC0415

        new(tmp_path / f'{name}.py', data=tmp_path / 'data', machine=CPU, from_scratch=True, options=Options(seed=seed))
        lists.append((tmp_path / f'{name}_data' / 'val.txt').read_text())
    assert lists[0] == lists[1] != lists[2]
    for text in lists:
        assert sorted(line.split('/')[0] for line in text.splitlines()) == sorted(CLASSES)


def test_boxes_of_no_class_list_are_in_the_order_of_the_file(tmp_path):
    made = sets()
    DETECTION['coco'][0](tmp_path / 'data', made)
    content = load(tmp_path / 'data')
    assert content.classes == list(CLASSES)
    assert math.isclose(content.splits['train'][0].boxes[0].xyxy[0], made['train'][0].objects[0][1][0])
