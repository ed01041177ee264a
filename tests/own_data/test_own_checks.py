"""Everything that can be wrong with data: it is named with file and place, and what is done about it is done."""

import io
import json
import re
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hrnet_plugins.data import DataError, Machine, load, new
from hrnet_plugins.data.beside import coco
from hrnet_plugins.data.checks import blocking
from hrnet_plugins.data.splits import complete
from hrnet_plugins.data.table import describe, problem_list
from tests.helpers.own_faults import ALONG, ERRORS, WRONG, annotation, turned, voc, yolo
from tests.helpers.own_sets import GROUND, coco_annotations, label_map, masks_camvid, sets, voc_main, yolo_images

CPU = Machine(cores=2)


def lines(content):
    return problem_list(content)


def shown(content):
    console = Console(file=io.StringIO(), width=200)
    console.print(describe(content))
    return console.file.getvalue()


@pytest.fixture
def made(tmp_path):
    def make(layout, change=None):
        folder = tmp_path / 'data'
        layout(folder, *([] if layout.__name__.startswith('folders') else [sets()]))
        if change is not None:
            change(folder)
        return folder

    return make


def by_name(content, kind):
    return [problem for problem in content.problems if problem.kind == kind]


@pytest.mark.parametrize('name', WRONG)
def test_what_is_wrong_is_named_with_file_and_place(name, made):
    layout, change, kind, message = WRONG[name]
    content = load(made(layout, change))
    found = by_name(content, kind)
    assert found, lines(content)
    text = '\n'.join(problem.where(content.root) for problem in found)
    assert re.search(message, text), text
    others = {problem.kind for problem in content.problems} - {kind}
    assert others <= ALONG.get(name, set()), lines(content)
    if not blocking(content):
        complete(content)
        assert re.sub(r'\s', '', found[0].where(content.root))[:12] in re.sub(r'[\s│]', '', shown(content))


@pytest.mark.parametrize('name', WRONG)
def test_errors_stop_and_odd_things_do_not(name, made):
    layout, change, kind, _ = WRONG[name]
    content = load(made(layout, change))
    assert bool(blocking(content)) == (kind in ERRORS)


def test_errors_are_all_said_and_nothing_is_written(made, tmp_path):
    def change(folder):
        yolo(folder, 'a00', '0 .5 .5 .2 .2\n1 .5 nan .2 .2\n')
        yolo(folder, 'a01', '7 .5 .5 .2 .2\n')

    folder = made(yolo_images, change)
    with pytest.raises(DataError) as caught:
        new(tmp_path / 'own.py', data=folder, machine=CPU, from_scratch=True, console=Console(file=io.StringIO()))
    text = str(caught.value)
    assert 'a00.txt, line 2' in text and 'a01.txt, line 1: class 7 of 3' in text and '--drop-broken' in text
    assert not list(tmp_path.glob('own*'))


def test_drop_broken_leaves_the_broken_objects_out(made, tmp_path):
    folder = made(yolo_images, lambda f: yolo(f, 'a00', '0 .5 .5 .2 .2\n1 .5 nan .2 .2\n9 .5 .5 .2 .2\n'))
    console = Console(file=io.StringIO())
    new(tmp_path / 'own.py', data=folder, machine=CPU, from_scratch=True, drop_broken=True, console=console)
    data = json.loads((tmp_path / 'own_data' / 'train.json').read_text())
    (first,) = [image['id'] for image in data['images'] if image['file_name'].endswith('a00.jpg')]
    assert [row['category_id'] for row in data['annotations'] if row['image_id'] == first] == [1]
    assert 'a00.txt, line 2' in (tmp_path / 'own_data' / 'problems.txt').read_text()


def test_boxes_are_cut_at_the_edge_and_empty_ones_left_out(made):
    def change(folder):
        yolo(folder, 'a00', '0 .9 .5 .5 .25\n1 .5 .5 0 .2\n2 -.6 .5 .2 .2\n')

    content = load(made(yolo_images, change))
    data = coco(content, 'train')
    (first,) = [image['id'] for image in data['images'] if image['file_name'].endswith('a00.jpg')]
    rows = [row for row in data['annotations'] if row['image_id'] == first]
    assert [row['bbox'] for row in rows] == [[62.4, 24.0, 33.6, 16.0]]


def test_a_coco_file_with_faults_is_not_used_but_a_corrected_copy(made, tmp_path):
    folder = made(coco_annotations, annotation(bbox=[5, 5, 0, 9]))
    new(tmp_path / 'own.py', data=folder, machine=CPU, from_scratch=True, console=Console(file=io.StringIO()))
    data = json.loads((tmp_path / 'own_data' / 'train.json').read_text())
    assert len(data['annotations']) == 17 and all(row['area'] > 0 for row in data['annotations'])
    assert all((folder / image['file_name']).is_file() for image in data['images'])


@pytest.mark.parametrize(('stated', 'turned_labels'), [((96, 64), False), ((64, 96), True)])
def test_labels_decide_how_turned_pictures_are_read(made, stated, turned_labels, tmp_path):
    """A picture stored upright as 64x96 and shown as 96x64: its labels are for one of the two."""

    def change(folder):
        for path in folder.rglob('*.jpg'):
            image = Image.open(path).copy().transpose(Image.Transpose.ROTATE_90)
            turned(image, path, 6)
        for path in folder.rglob('*.xml'):
            text = path.read_text()
            text = text.replace('<width>96', f'<width>{stated[0]}').replace('<height>64', f'<height>{stated[1]}')
            path.write_text(text)

    folder = made(voc_main, change)
    content = load(folder)
    assert content.turned_labels is turned_labels
    assert content.of('rotated') and not content.of('rotated-mixed') and not content.of('stated-size')
    console = Console(file=io.StringIO())
    path = new(tmp_path / 'own.py', data=folder, machine=CPU, from_scratch=True, console=console)
    assert ('color_ignore_orientation' in path.read_text()) is turned_labels


def test_pictures_turned_otherwise_than_the_others_are_left_out(made):
    def change(folder):
        for path in sorted(folder.rglob('a0*.jpg')):
            turned(Image.open(path).copy().transpose(Image.Transpose.ROTATE_90), path, 6)
        voc(folder, 'a00', '<width>96', '<width>64')
        voc(folder, 'a00', '<height>64', '<height>96')

    content = load(made(voc_main, change))
    assert [problem.file.name for problem in content.of('rotated-mixed')] == ['a00.jpg']
    assert 'a00' not in {picture.name for picture in content.splits['train']}


def test_spellings_are_merged_when_asked(made):
    folder = made(voc_main, lambda f: voc(f, 'a00', '<name>ball', '<name>Balls'))
    assert load(folder).classes == ['Balls', 'ball', 'box', 'tile']
    merged = load(folder, merge_classes=True)
    assert merged.classes == ['ball', 'box', 'tile']
    assert sum(box.label == 'ball' for picture in merged.pictures() for box in picture.boxes) == 11
    assert not merged.native['train'], "mmdet's own dataset would not know the other spelling"


def test_more_names_than_a_file_name_has_letters(made):
    """What `--classes` says may be the path of a list, which is asked first."""
    names = [f'a class with the number {i}' for i in range(4)] + [f'another {i}' for i in range(40)]
    content = load(made(masks_camvid), classes=','.join(names))
    assert content.classes == names


def test_values_that_are_no_class(made):
    def change(folder):
        for path in folder.glob('*annot/*.png'):
            labels = np.array(Image.open(path))
            labels[:4] = 11
            label_map(path, labels)

    folder = made(masks_camvid, change)
    assert blocking(load(folder)) == ['unknown-value', 'empty-set']
    content = load(folder, ignore=[11])
    assert not blocking(content) and content.classes == list(GROUND) and content.ignored == [11]
    named = load(folder, classes='ground,ball,box,tile', ignore=[11])
    assert named.classes == list(GROUND)


def test_binary_masks_are_background_and_object(made):
    def change(folder):
        (folder / 'classes.txt').unlink()
        for path in folder.glob('*annot/*.png'):
            label_map(path, (np.array(Image.open(path)) > 0) * 255)

    content = load(made(masks_camvid, change))
    assert (content.classes, content.label_values, content.ignored) == (['background', 'object'], [0, 255], [])


def test_many_pictures_are_quick(made, tmp_path):
    """Headers and labels alone are read: two thousand pictures take seconds."""
    folder = made(yolo_images)
    for i in range(2000):
        shutil.copy(folder / 'images/train/a00.jpg', folder / f'images/train/x{i}.jpg')
        shutil.copy(folder / 'labels/train/a00.txt', folder / f'labels/train/x{i}.txt')
    start = time.process_time()
    content = load(folder)
    assert len(content.splits['train']) == 2006 and time.process_time() - start < 20
