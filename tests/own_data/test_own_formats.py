"""Each format in each of its layouts: what `new` writes builds in the real framework and yields the true labels."""

import json
import math

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from hrnet_plugins.data import Machine, load, new
from hrnet_plugins.data.formats.class_lists import Entry, parse
from tests.helpers.own_sets import (
    CLASSES,
    CLASSIFICATION,
    DETECTION,
    GROUND,
    SEGMENTATION,
    UNSPLIT,
    UNSPLIT_MASKS,
    folders_flat,
    label_map,
    labelme,
    labelme_flat,
    masks_camvid,
    save,
    sets,
    voc_main,
    yolo,
    yolo_images,
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


def test_shapes_of_labelme(tmp_path):
    """Circles are polygons, masks their boxes; what LabelMe keeps for no object is none."""
    labelme_flat(tmp_path, sets(2, 0, 0))
    path = tmp_path / 'a00.json'
    data = json.loads(path.read_text())
    data['shapes'] = [
        dict(label='ball', shape_type='circle', points=[[40, 30], [40, 20]]),
        dict(label='box', shape_type='mask', points=[[60, 40], [50, 20]], mask='...'),
        dict(label='__ignore__', points=[[0, 0], [9, 0], [9, 9]]),
        dict(label='tile', shape_type=None, points=[[0, 0], [9, 0], [9, 9]]),
    ]
    path.write_text(json.dumps(data))
    content = load(tmp_path)
    assert content.classes == list(CLASSES)
    ball, box, tile = next(picture for picture in content.pictures() if picture.name == 'a00').boxes
    assert ball.xyxy == pytest.approx((30, 20, 50, 40)) and len(ball.outline[0]) == 64
    xs, ys = np.array(ball.outline[0]).reshape(-1, 2).T
    assert np.hypot(xs - 40, ys - 30) == pytest.approx(10, abs=0.01)
    assert box.xyxy == (50, 20, 60, 40) and tile.xyxy == (0, 0, 9, 9)


def test_labelme_files_far_from_their_pictures(tmp_path):
    """The picture is where the file says; where it says nothing, beside the file."""
    made = sets(3, 0, 0)['train']
    shown = '..\\shown\\in\\summer\\'
    for one in made:
        save(one, tmp_path / 'shown' / 'in' / 'summer')
        labelme(tmp_path / 'drawn' / f'label_{one.name}.json', one, picture=f'{shown}{one.name}.jpg')
    path = tmp_path / 'drawn' / 'label_a02.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'imagePath': None}))
    content = load(tmp_path)
    assert sorted(picture.path.name for picture in content.pictures()) == ['a00.jpg', 'a01.jpg']
    assert [problem.where(content.root) for problem in content.of('no-picture')] == [
        'drawn/label_a02.json: label_a02.jpg is not there'
    ]


@pytest.mark.parametrize('kind', ['labelme', 'masks'])
def test_folders_of_which_not_all_are_sets_are_one(tmp_path, kind):
    for folder, rows in (('train', sets(3, 0, 0)['train']), ('more', sets(0, 3, 0)['val'])):
        for one in rows:
            if kind == 'labelme':
                save(one, tmp_path / folder)
                labelme(tmp_path / folder / f'{one.name}.json', one)
            else:
                save(one, tmp_path / 'images' / folder)
                label_map(tmp_path / 'masks' / folder / f'{one.name}.png', one.labels())
    content = load(tmp_path)
    assert list(content.splits) == ['all'] and len(content.splits['all']) == 6


def test_voc_with_a_list_of_both_sets(tmp_path):
    voc_main(tmp_path, sets(4, 2, 2))
    main = tmp_path / 'VOC2012' / 'ImageSets' / 'Main'
    (main / 'trainval.txt').write_text((main / 'train.txt').read_text() + (main / 'val.txt').read_text())
    (main / 'train.txt').unlink()
    (main / 'val.txt').unlink()
    content = load(tmp_path)
    assert {split: len(pictures) for split, pictures in content.splits.items()} == {'train': 6, 'test': 2}
    (main / 'trainval.txt').unlink()  # a list of the test set alone is none to train by
    assert {split: len(pictures) for split, pictures in load(tmp_path).splits.items()} == {'all': 8}


def test_voc_names_with_spaces_around_them(tmp_path):
    voc_main(tmp_path, sets(2, 1, 0))
    path = next(tmp_path.rglob('a00.xml'))
    path.write_text(path.read_text().replace('<name>ball</name>', '<name> ball\n</name>'))
    content = load(tmp_path)
    assert content.classes == list(CLASSES)
    assert not content.native['train'], "mmdet's own dataset would take it for another class"


def test_yolo_validated_by_what_it_trains_on(tmp_path):
    """As in ultralytics' samples: the set to choose by is made."""
    yolo_images(tmp_path / 'data', sets(8, 0, 0))
    text = 'path: .\ntrain: images/train\nval: images/train\nnames: [ball, box, tile]\n'
    (tmp_path / 'data' / 'data.yaml').write_text(text)
    assert {split: len(rows) for split, rows in load(tmp_path / 'data').splits.items()} == {'train': 8}
    cfg = write(tmp_path)
    assert len(build(cfg, 'train_dataloader')) + len(build(cfg, 'val_dataloader')) == 8


def test_yolo_sets_beside_loose_pictures(tmp_path):
    made = sets(4, 2, 0)
    yolo_images(tmp_path, made)
    (tmp_path / 'data.yaml').unlink()
    (tmp_path / 'classes.txt').write_text('\n'.join(CLASSES))
    save(made['train'][0], tmp_path / 'more')
    yolo(tmp_path / 'more' / f'{made["train"][0].name}.txt', made['train'][0])
    assert {split: len(pictures) for split, pictures in load(tmp_path).splits.items()} == {'train': 4, 'val': 2}


@pytest.mark.parametrize(
    ('name', 'text', 'entries'),
    [
        ('classes.txt', 'sky\n\n# none\nroad', [Entry('sky'), Entry('road')]),
        ('labels.txt', '0: sky\n7=road', [Entry('sky', 0), Entry('road', 7)]),
        ('label_colors.txt', '64 128 64\tAnimal\n0 0 192 Side walk', [
            Entry('Animal', colour=(64, 128, 64)), Entry('Side walk', colour=(0, 0, 192))]),
        ('classes.txt', 'Side walk, 0, 0, 192', [Entry('Side walk', colour=(0, 0, 192))]),
        ('labelmap.txt', 'sky:1,2,3:part:act', [Entry('sky', colour=(1, 2, 3))]),
        ('classes.csv', 'sky,1,2,3\nroad,4,5,6', [Entry('sky', colour=(1, 2, 3)), Entry('road', colour=(4, 5, 6))]),
        ('class_dict.csv', 'name,r,g,b\nsky,1,2,3', [Entry('sky', colour=(1, 2, 3))]),
        ('_classes.csv', 'Pixel Value, Class\n3, sky', [Entry('sky', 3)]),
    ],
)  # fmt: skip
def test_lists_of_classes(name, text, entries, tmp_path):
    (tmp_path / name).write_text(text)
    assert parse(tmp_path / name) == entries


def test_classes_from_a_list_elsewhere(tmp_path):
    masks_camvid(tmp_path / 'data', sets(2, 1, 0))
    (tmp_path / 'mine.txt').write_text('ground\nred\ngreen\nblue\n')
    assert load(tmp_path / 'data', classes=str(tmp_path / 'mine.txt')).classes == ['ground', 'red', 'green', 'blue']


def test_a_value_of_255_without_a_list_is_no_class(tmp_path):
    masks_camvid(tmp_path, sets(2, 1, 0))
    (tmp_path / 'classes.txt').unlink()
    path = tmp_path / 'trainannot' / 'a00.png'
    labels = np.array(Image.open(path))
    labels[:4] = 255
    label_map(path, labels)
    content = load(tmp_path)
    assert (content.ignored, content.classes) == ([255], ['class 0', 'class 1', 'class 2', 'class 3'])
    asked = load(tmp_path, ignore=[0, 255])
    assert (asked.ignored, asked.classes) == ([0, 255], ['class 1', 'class 2', 'class 3'])


def test_boxes_of_no_class_list_are_in_the_order_of_the_file(tmp_path):
    made = sets()
    DETECTION['coco'][0](tmp_path / 'data', made)
    content = load(tmp_path / 'data')
    assert content.classes == list(CLASSES)
    assert math.isclose(content.splits['train'][0].boxes[0].xyxy[0], made['train'][0].objects[0][1][0])
