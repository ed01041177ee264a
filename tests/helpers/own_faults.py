"""Faults of data: what is made wrong in which layout, and what is to be said of it."""

import json
import shutil
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from tests.helpers.own_sets import (
    coco_annotations,
    coco_roboflow,
    folders_flat,
    folders_split,
    label_map,
    labelme_flat,
    masks_camvid,
    masks_coloured,
    voc_main,
    yolo_images,
)


def edit_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def yolo(folder, name, text):
    (folder / 'labels' / 'train' / f'{name}.txt').write_text(text)


def voc(folder, name, old, new_text):
    path = folder / 'VOC2012' / 'Annotations' / f'{name}.xml'
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new_text, 1))


def corner(folder, name, side, value):
    """Give the first box of a VOC file another corner."""
    path = folder / 'VOC2012' / 'Annotations' / f'{name}.xml'
    tree = ET.parse(path)  # noqa: S314, the tests' own
    next(tree.iter(side)).text = value
    tree.write(path)


def picture(folder, name, change):
    """Replace a picture by what `change` makes of it."""
    path = next(folder.rglob(name))
    change(Image.open(path).copy()).save(path)


def annotation(**values):
    def change(folder):
        edit_json(folder / 'annotations' / 'instances_train.json', lambda d: d['annotations'][0].update(values))

    return change


def listed_again(data, **changes):
    data['images'].append({**data['images'][0], **changes})


def in_encoding(path, encoding):
    path.write_text(f"<?xml version='1.0' encoding='{encoding}'?>{path.read_text()}")


def turned(image, path, orientation=6):
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


def picture_beside(folder, name):
    path = next(folder.rglob(f'{name}.jpg'))
    Image.open(path).save(path.with_suffix('.png'))


def lossy(folder):
    for path in sorted(folder.glob('*annot/*.png')):
        Image.open(path).save(path.with_suffix('.jpg'))
        path.unlink()


# Layout, what is made wrong, the kind, and what is said of file and place.
WRONG = {
    'voc-no-area': (voc_main, lambda f: corner(f, 'a00', 'xmax', '2'), 'no-area', 'a00.xml, object 1: ball'),
    'voc-unreadable': (
        voc_main,
        lambda f: voc(f, 'a01', '</annotation>', ''),
        'unreadable-labels',
        'a01.xml: no element found',
    ),
    'voc-nan': (voc_main, lambda f: corner(f, 'a02', 'ymin', 'nan'), 'nan-box', 'a02.xml, object 1'),
    'voc-no-number': (
        voc_main,
        lambda f: corner(f, 'a02', 'ymin', 'left'),
        'malformed',
        "a02.xml, object 1: its box is .*'left'",
    ),
    'voc-no-name': (
        voc_main,
        lambda f: voc(f, 'a02', '<name>ball</name>', ''),
        'malformed',
        'a02.xml, object 1: it has no name',
    ),
    'voc-outside': (voc_main, lambda f: corner(f, 'a03', 'xmin', '-20'), 'outside', 'a03.xml, object 1'),
    'voc-difficult': (
        voc_main,
        lambda f: voc(f, 'a03', '<difficult>0', '<difficult>Unspecified'),
        'odd-field',
        "a03.xml, object 1: difficult is 'Unspecified'",
    ),
    'voc-no-picture': (
        voc_main,
        lambda f: next(f.rglob('a04.jpg')).unlink(),
        'no-picture',
        'a04.xml: a04.jpg is not there',
    ),
    'voc-no-labels': (
        voc_main,
        lambda f: next(f.rglob('a04.xml')).unlink(),
        'no-labels',
        'a04.jpg: a04.xml is not there',
    ),
    'voc-unlisted': (
        voc_main,
        lambda f: next(f.rglob('Main/test.txt')).write_text('c00\n'),
        'unlisted',
        'JPEGImages/c01.jpg',
    ),
    'voc-stated-size': (
        voc_main,
        lambda f: voc(f, 'a00', '<width>96', '<width>69'),
        'stated-size',
        '69x64, it is 96x64',
    ),
    'voc-size': (
        voc_main,
        lambda f: voc(f, 'a00', '<width>96', '<width>96.5'),
        'odd-field',
        'a00.xml, size: width and height are not whole numbers',
    ),
    'voc-encoding': (
        voc_main,
        lambda f: in_encoding(next(f.rglob('a01.xml')), 'gb2312'),
        'unreadable-labels',
        'a01.xml: multi-byte encodings are not supported',
    ),
    'voc-spelled': (
        voc_main,
        lambda f: voc(f, 'a00', '<name>ball', '<name>Balls'),
        'similar-class',
        r'Balls \(1\), ball \(10\)',
    ),
    'coco-no-area': (
        coco_annotations,
        annotation(bbox=[5, 5, 0, 9]),
        'no-area',
        'instances_train.json, annotation 1: ball',
    ),
    'coco-negative': (
        coco_annotations,
        annotation(bbox=[50, 5, -20, 9]),
        'negative-box',
        r'instances_train.json, annotation 1: ball from \(50, 5\) to \(30, 14\)',
    ),
    'coco-outside': (
        coco_annotations,
        annotation(bbox=[90, 5, 20, 9]),
        'outside',
        r'instances_train.json, annotation 1: ball from \(90, 5\) to \(110, 14\) of 96x64',
    ),
    'coco-wholly-outside': (coco_annotations, annotation(bbox=[200, 5, 20, 9]), 'wholly-outside', 'annotation 1'),
    'coco-nan': (coco_annotations, annotation(bbox=[float('nan'), 5, 20, 9]), 'nan-box', 'annotation 1'),
    'coco-malformed': (
        coco_annotations,
        annotation(bbox=[1, 2, 3]),
        'malformed',
        r'annotation 1: its bbox is \[1, 2, 3\]',
    ),
    'coco-unknown-class': (
        coco_annotations,
        annotation(category_id=44),
        'unknown-class',
        'annotation 1: category_id 44 is not among the categories',
    ),
    'coco-unknown-picture': (
        coco_annotations,
        annotation(image_id=404),
        'no-picture',
        'annotation 1: image_id 404 is not among the images',
    ),
    'coco-no-outline': (coco_annotations, annotation(segmentation=[]), 'no-outline', 'annotation 1: ball'),
    'coco-no-picture': (
        coco_annotations,
        lambda f: next(f.rglob('a01.jpg')).unlink(),
        'no-picture',
        'a01.jpg is not there',
    ),
    'coco-no-labels': (
        coco_annotations,
        lambda f: shutil.copy(next(f.rglob('a01.jpg')), f / 'train' / 'more.jpg'),
        'no-labels',
        'train/more.jpg',
    ),
    'coco-repeated': (
        coco_annotations,
        lambda f: edit_json(
            f / 'annotations' / 'instances_train.json', lambda d: d['categories'].append(dict(id=9, name='box'))
        ),
        'repeated-class',
        'category 9: box',
    ),
    'coco-listed-twice': (
        coco_annotations,
        lambda f: edit_json(f / 'annotations' / 'instances_train.json', lambda d: listed_again(d, id=99)),
        'duplicate-name',
        'train/a00.jpg: 2 times in train',
    ),
    'coco-same-id': (
        coco_annotations,
        lambda f: edit_json(f / 'annotations' / 'instances_train.json', lambda d: d['images'][1].update(id=1)),
        'malformed',
        'instances_train.json, image 1: a01.jpg has the id of another',
    ),
    'coco-no-name': (
        coco_annotations,
        lambda f: edit_json(f / 'annotations' / 'instances_train.json', lambda d: d['images'][0].pop('file_name')),
        'malformed',
        'instances_train.json, image 1: it has no file_name',
    ),
    'coco-no-object': (
        coco_annotations,
        lambda f: edit_json(f / 'annotations' / 'instances_train.json', lambda d: d['annotations'].insert(2, [7])),
        'malformed',
        r'instances_train.json, number 2 of annotations: \[7\] is no object',
    ),
    'coco-odd-outline': (
        coco_annotations,
        annotation(segmentation=[['a', 'b', 'c', 'd', 'e', 'f']]),
        'no-outline',
        'annotation 1: ball',
    ),
    'coco-unused': (
        coco_annotations,
        lambda f: [edit_json(p, lambda d: d['categories'].append(dict(id=9, name='cone'))) for p in f.rglob('*.json')],
        'unused-class',
        'cone',
    ),
    'coco-group': (coco_roboflow, lambda f: None, 'group-class', '_annotations.coco.json: shapes'),
    'yolo-nan': (
        yolo_images,
        lambda f: yolo(f, 'a00', '0 .5 .5 .2 .2\n1 .5 nan .2 .2\n'),
        'nan-box',
        'labels/train/a00.txt, line 2: 1 .5 nan .2 .2',
    ),
    'yolo-unknown-class': (
        yolo_images,
        lambda f: yolo(f, 'a00', '3 .5 .5 .2 .2\n'),
        'unknown-class',
        'a00.txt, line 1: class 3 of 3, which count from 0',
    ),
    'yolo-malformed': (
        yolo_images,
        lambda f: yolo(f, 'a00', '0 .5 .5 .2 .2\n\n0 .5 .5\n'),
        'malformed',
        "a00.txt, line 3: '0 .5 .5' is not a class and four",
    ),
    'yolo-no-area': (yolo_images, lambda f: yolo(f, 'a00', '0 .5 .5 0 .2\n'), 'no-area', 'a00.txt, line 1'),
    'yolo-outside': (yolo_images, lambda f: yolo(f, 'a00', '0 .9 .5 .5 .2\n'), 'outside', 'a00.txt, line 1'),
    'yolo-background': (
        yolo_images,
        lambda f: next(f.rglob('a00.txt')).unlink(),
        'background',
        'a00.jpg: a00.txt is not there',
    ),
    'yolo-no-picture': (yolo_images, lambda f: next(f.rglob('a00.jpg')).unlink(), 'no-picture', 'labels/train/a00.txt'),
    'yolo-no-text': (
        yolo_images,
        lambda f: (f / 'labels' / 'train' / 'a00.txt').write_bytes('0 .5 .5 .2 .2'.encode('utf-16')),
        'unreadable-labels',
        "labels/train/a00.txt: 'utf-8' codec can't decode",
    ),
    'yolo-unreadable-picture': (
        yolo_images,
        lambda f: (f / 'images' / 'train' / 'a00.jpg').write_bytes(b''),
        'unreadable-picture',
        'images/train/a00.jpg: UnidentifiedImageError',
    ),
    'labelme-unreadable': (
        labelme_flat,
        lambda f: (f / 'a01.json').write_text('{"shapes": [,'),
        'unreadable-labels',
        'a01.json: Expecting value',
    ),
    'labelme-malformed': (
        labelme_flat,
        lambda f: edit_json(f / 'a01.json', lambda d: d['shapes'][1].pop('label')),
        'malformed',
        'a01.json, shape 2',
    ),
    'labelme-nan': (
        labelme_flat,
        lambda f: edit_json(f / 'a01.json', lambda d: d['shapes'][0]['points'][1].__setitem__(0, float('nan'))),
        'nan-box',
        'a01.json, shape 1: a point of ball is no number',
    ),
    'labelme-no-labels': (
        labelme_flat,
        lambda f: shutil.copy(f / 'a01.jpg', f / 'more.jpg'),
        'no-labels',
        'more.jpg',
    ),
    'labelme-circle': (
        labelme_flat,
        lambda f: edit_json(f / 'a01.json', lambda d: d['shapes'][0].update(shape_type='circle')),
        'shape-kind',
        'a01.json, shape 1: ball is a circle of 4 points',
    ),
    'labelme-line': (
        labelme_flat,
        lambda f: edit_json(f / 'a01.json', lambda d: d['shapes'][0].update(shape_type='linestrip')),
        'shape-kind',
        'a01.json, shape 1: ball is a linestrip',
    ),
    'labelme-unlisted': (
        labelme_flat,
        lambda f: (f / 'labels.txt').write_text('__ignore__\nball\nbox\n'),
        'unknown-class',
        'a00.json, shape 3: tile is not in labels.txt',
    ),
    'unreadable': (
        voc_main,
        lambda f: next(f.rglob('a00.jpg')).write_bytes(b'not a picture'),
        'unreadable-picture',
        'a00.jpg: UnidentifiedImageError',
    ),
    'truncated': (
        voc_main,
        lambda f: (p := next(f.rglob('a00.jpg'))).write_bytes(p.read_bytes()[:-400]),
        'unreadable-picture',
        'a00.jpg: OSError: .*truncated',
    ),
    'grey': (voc_main, lambda f: picture(f, 'a00.jpg', lambda i: i.convert('L')), 'grey', 'a00.jpg'),
    'rgba': (
        masks_camvid,
        lambda f: picture(f, 'train/a00.png', lambda i: i.convert('RGBA')),
        'rgba',
        'train/a00.png: RGBA',
    ),
    '16-bit': (
        masks_camvid,
        lambda f: picture(
            f, 'train/a00.png', lambda i: Image.fromarray(np.array(i.convert('L')).astype(np.uint16) * 250)
        ),
        '16-bit',
        'train/a00.png: 16 bits a channel',
    ),
    'rotated': (
        voc_main,
        lambda f: turned(Image.open(p := next(f.rglob('a00.jpg'))).copy(), p, 3),
        'rotated',
        'a00.jpg: EXIF orientation 3',
    ),
    'duplicate': (voc_main, lambda f: picture_beside(f, 'a00'), 'duplicate-name', r'a00\.png: beside a00\.jpg'),
    'two-splits': (
        voc_main,
        lambda f: (f / 'VOC2012/ImageSets/Main/val.txt').write_text('b00\na00\n'),
        'in-two-splits',
        'a00.jpg: in train and val',
    ),
    'same-picture': (
        yolo_images,
        lambda f: shutil.copy(next(f.rglob('a00.jpg')), f / 'images/val/a00.jpg'),
        'in-two-splits',
        'val/a00.jpg: in train and val',
    ),
    'gif': (
        folders_flat,
        lambda f: Image.new('P', (64, 48)).save(f / 'ball' / 'moving.gif'),
        'unsupported-picture',
        'ball/moving.gif',
    ),
    'class-spelled': (
        folders_flat,
        lambda f: shutil.copytree(f / 'box', f / 'Boxes'),
        'similar-class',
        r'Boxes \(5\), box \(5\)',
    ),
    'class-loose': (
        folders_split,
        lambda f: Image.new('RGB', (64, 48)).save(f / 'train' / 'loose.png'),
        'no-labels',
        'train/loose.png',
    ),
    'mask-value': (
        masks_camvid,
        lambda f: label_map(f / 'trainannot' / 'a00.png', np.full((64, 96), 77)),
        'unknown-value',
        'trainannot/a00.png: 77 in 6144 pixels; the classes are 0, 1, 2, 3',
    ),
    'mask-colour': (
        masks_coloured,
        lambda f: Image.new('RGB', (96, 64), (9, 9, 9)).save(f / 'train_labels' / 'a00_L.png'),
        'unknown-value',
        r'a00_L.png: \(9, 9, 9\) in 6144 pixels',
    ),
    'mask-size': (
        masks_camvid,
        lambda f: label_map(f / 'trainannot' / 'a00.png', np.zeros((64, 90))),
        'size-differs',
        'trainannot/a00.png: 90x64, and its picture 96x64',
    ),
    'mask-unreadable': (
        masks_camvid,
        lambda f: (f / 'trainannot' / 'a01.png').write_bytes(b'\x89PNG nothing'),
        'unreadable-labels',
        'trainannot/a01.png',
    ),
    'mask-channels': (
        masks_camvid,
        lambda f: Image.new('LA', (96, 64)).save(f / 'trainannot' / 'a01.png'),
        'unreadable-labels',
        'trainannot/a01.png: it has 2 channels: a label map has one value or one colour a pixel',
    ),
    'mask-missing': (masks_camvid, lambda f: (f / 'trainannot' / 'a01.png').unlink(), 'no-labels', 'train/a01.png'),
    'mask-unnamed': (
        masks_camvid,
        lambda f: (f / 'classes.txt').unlink(),
        'unnamed-classes',
        'class 0, class 1, class 2',
    ),
    'mask-lossy': (masks_camvid, lossy, 'lossy-labels', 'trainannot/a00.jpg'),
    'empty-set': (
        yolo_images,
        lambda f: [p.write_text('') for p in (f / 'labels' / 'val').iterdir()],
        'empty-set',
        'val: 3 pictures, none with a label',
    ),
    'empty-test': (
        yolo_images,
        lambda f: [p.write_text('') for p in (f / 'labels' / 'test').iterdir()],
        'unlabelled-test',
        'test: 2 pictures',
    ),
}


ERRORS = {
    'unreadable-labels',
    'nan-box',
    'malformed',
    'unknown-class',
    'unknown-value',
    'size-differs',
    'empty-set',
    'lossy-labels',
}
ALONG = {
    '16-bit': {'grey'},
    'two-splits': {'unlisted'},
    'same-picture': {'background'},
    'labelme-unlisted': {'unused-class'},
    'coco-same-id': {'no-picture'},
    'coco-no-name': {'no-picture', 'no-labels'},
    'mask-lossy': {'empty-set', 'unnamed-classes', 'unused-class', 'unlabelled-test'},
}
"""Kinds that come with another of necessity."""
