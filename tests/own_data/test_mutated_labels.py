"""Label files with anything in them: what cannot be used is named, and nothing else is raised."""

import copy
import itertools
import json

import pytest
import yaml
from PIL import Image

from hrnet_plugins.data import DataError, load
from hrnet_plugins.data.beside import coco as coco_of
from hrnet_plugins.data.checks import blocking
from hrnet_plugins.training.coco_check import check_coco
from hrnet_plugins.training.voc_check import check_voc
from tests.helpers.own_sets import coco_annotations, labelme_flat, masks_voc, sets, voc_main, yolo_bare, yolo_images

VALUES = (None, True, -1, 2.5, float('inf'), '', 'x', [], [[]], {}, {'x': []})
COCO = 'annotations/instances_train.json'
DAMAGED = {
    'empty': b'',
    'utf-16': None,
    'byte order mark': None,
    'cut off': None,
    'no text': bytes(range(256)) * 8,
    'deep': b'[' * 100_000,
    'deep object': b'{"images":' * 100_000,
}


def places(value, at=()):
    """The way to every value inside another, itself included."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in pairs:
        yield from places(inside, (*at, key))


def changed(value, at, new):
    """A copy with another value in one place."""
    if not at:
        return new
    made = copy.deepcopy(value)
    inside = made
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = new
    return made


def bytes_of(damage, before):
    """A file's content after some damage."""
    if damage == 'utf-16':
        return before.decode().encode('utf-16')
    if damage == 'byte order mark':
        return b'\xef\xbb\xbf' + before
    return before[: len(before) // 2] if damage == 'cut off' else DAMAGED[damage]


def look(folder):
    """Read a folder as `new` does, and what it would write of it; ``None`` where it says that it cannot."""
    try:
        content = load(folder)
    except DataError as error:
        assert str(error)
        return None
    assert all(problem.where(content.root) for problem in content.problems)
    if content.task == 'detection' and not blocking(content, drop_broken=True):
        for split in content.splits:
            json.dumps(coco_of(content, split))
    return content


@pytest.mark.parametrize(
    ('layout', 'file', 'read', 'write'),
    [
        (coco_annotations, COCO, json.loads, json.dumps),
        (labelme_flat, 'a00.json', json.loads, json.dumps),
        (yolo_images, 'data.yaml', yaml.safe_load, yaml.safe_dump),
    ],
    ids=['coco', 'labelme', 'yolo'],
)
def test_any_value_in_any_place(layout, file, read, write, tmp_path):
    layout(tmp_path, sets(2, 1, 0))
    path = tmp_path / file
    whole = read(path.read_text())
    named = 0
    for at, new in itertools.product(places(whole), VALUES):
        path.write_text(write(changed(whole, at, new)))
        content = look(tmp_path)
        named += content is None or bool(content.problems)
        if layout is coco_annotations:
            found = check_coco(path, classes=('ball', 'box', 'tile'), pictures=tmp_path / 'train')
            assert all(finding.text for finding in found)
    path.write_text(write(whole))
    assert not look(tmp_path).problems
    assert named > 10


@pytest.mark.parametrize('damage', DAMAGED)
@pytest.mark.parametrize(
    ('layout', 'file'),
    [
        (coco_annotations, COCO),
        (labelme_flat, 'a00.json'),
        (voc_main, 'VOC2012/Annotations/a00.xml'),
        (voc_main, 'VOC2012/ImageSets/Main/train.txt'),
        (yolo_images, 'data.yaml'),
        (yolo_images, 'labels/train/a00.txt'),
        (yolo_bare, 'classes.txt'),
        (masks_voc, 'classes.txt'),
        (masks_voc, 'ImageSets/Segmentation/train.txt'),
        (masks_voc, 'SegmentationClass/a00.png'),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_damaged_files(layout, file, damage, tmp_path):
    layout(tmp_path, sets(2, 1, 0))
    path = tmp_path / file
    if path.suffix == '.png' and damage in ('utf-16', 'byte order mark'):
        before = b'\x89PNG'.decode('latin1').encode()
    else:
        before = path.read_bytes()
    path.write_bytes(bytes_of(damage, before))
    look(tmp_path)
    if file == COCO:
        check_coco(path, classes=('ball',), pictures=tmp_path / 'train')
    if layout is voc_main:
        base = tmp_path / 'VOC2012'
        main = base / 'ImageSets' / 'Main' / 'train.txt'
        check_voc(main, annotations=base / 'Annotations', pictures=base / 'JPEGImages', classes=('ball',))


@pytest.mark.parametrize(('layout', 'file'), [(coco_annotations, COCO), (labelme_flat, 'a00.json')])
def test_a_byte_order_mark_changes_nothing(layout, file, tmp_path):
    """Windows' editors write one. mmdet's reader stops at it, so it gets a copy without."""
    layout(tmp_path, sets(2, 1, 0))
    before = {p.name: [b.xyxy for b in p.boxes] for p in load(tmp_path).pictures()}
    path = tmp_path / file
    path.write_bytes(b'\xef\xbb\xbf' + path.read_bytes())
    content = load(tmp_path)
    assert {p.name: [b.xyxy for b in p.boxes] for p in content.pictures()} == before
    assert not content.problems and not content.native.get('train')
    if layout is coco_annotations:
        (finding,) = check_coco(path, classes=('ball', 'box', 'tile'), pictures=tmp_path / 'train')
        assert finding.severity == 'error' and 'UTF-8' in finding.text


def test_ids_that_a_table_wrote_as_fractions(tmp_path):
    """Tables write 7 as 7.0 in a column that has empty cells."""
    coco_annotations(tmp_path, sets(2, 1, 0))
    path = tmp_path / COCO
    data = json.loads(path.read_text())
    for row in data['annotations']:
        row.update(image_id=float(row['image_id']), category_id=float(row['category_id']))
    path.write_text(json.dumps(data))
    content = load(tmp_path)
    assert not content.problems and not content.native['train'] and content.native['val']
    assert [len(picture.boxes) for picture in content.splits['train']] == [3, 3]


def test_a_picture_that_is_no_picture_is_no_label_map(tmp_path):
    masks_voc(tmp_path, sets(2, 1, 0))
    Image.new('RGB', (96, 64), (250, 3, 99)).save(tmp_path / 'SegmentationClass' / 'a00.png')
    with pytest.raises(DataError, match='hold values and some colours: convert them to one of the two'):
        load(tmp_path)
