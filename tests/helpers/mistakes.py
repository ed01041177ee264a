# ruff: noqa: E501, a table reads best with a row a line
"""Small data sets and configs with one mistake each, and what has to be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[dict[str, Any]], Any]


def coco() -> dict[str, Any]:
    """Two pictures of 80x60 with four boxes of two classes."""
    boxes = [[5, 5, 20, 20], [40, 30, 30, 20], [10, 20, 30, 30], [50, 10, 25, 45]]
    return dict(
        images=[dict(id=i, file_name=f'{name}.png', width=80, height=60) for i, name in enumerate('ab')],
        annotations=[
            dict(id=i, image_id=i // 2, category_id=1 + i % 2, bbox=box, area=box[2] * box[3], iscrowd=0)
            for i, box in enumerate(boxes)
        ],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
    )


def write(folder: Path, content: Any) -> None:
    """Write the annotation file."""
    (folder / 'train.json').write_text(content if isinstance(content, str) else json.dumps(content))


def config(folder: Path) -> dict[str, Any]:
    """A detector's config for it."""
    dataset = dict(
        type='CocoDataset',
        data_root=str(folder),
        ann_file='train.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('cat', 'dog')),
    )
    head = dict(
        bbox_head=dict(type='Shared2FCBBoxHead', num_classes=2), mask_head=dict(type='FCNMaskHead', num_classes=2)
    )
    return dict(
        default_scope='mmdet',
        model=dict(type='MaskRCNN', rpn_head=dict(type='RPNHead'), roi_head=dict(type='StandardRoIHead', **head)),
        train_dataloader=dict(dataset=dataset),
    )


def _boxes(*boxes: list[float]) -> Change:
    def change(content: dict[str, Any]) -> None:
        for annotation, box in zip(content['annotations'], boxes):
            annotation['bbox'] = box

    return change


def _all(key: str, value: Any, part: str = 'annotations') -> Change:
    return lambda content: [entry.update({key: value}) for entry in content[part]] and None


def _one(key: str, value: Any, part: str = 'annotations') -> Change:
    return lambda content: content[part][1].update({key: value})


def _without(part: str) -> Change:
    return lambda content: content.pop(part) and None


COCO_MISTAKES: dict[str, tuple[Change, str, str]] = {
    'a box of no area': (_boxes([5, 5, 0, 20]), 'warning', '1 boxes of no area are left out: annotations 0'),
    'no box with area': (_boxes(*[[5, 5, 0, 0]] * 4), 'error', '4 boxes of no area'),
    'negative width': (_boxes([50, 5, -20, 20]), 'error', '1 boxes of negative size: annotations 0'),
    'NaN': (_boxes([float('nan'), 5, 20, 20]), 'error', '1 boxes that are NaN or infinite: annotations 0'),
    'infinite': (_boxes([5, 5, float('inf'), 20]), 'error', 'NaN or infinite'),
    'outside': (_boxes([200, 5, 20, 20]), 'warning', '1 of 4 boxes are wholly outside'),
    'reaching out': (_boxes([70, 5, 20, 20]), 'warning', '1 boxes reach out of their pictures: annotations 0'),
    'corners': (
        _boxes([45, 35, 75, 55], [40, 30, 70, 50], [30, 20, 60, 50], [50, 10, 75, 55]), 'error', 'right bottom corner'
    ),
    'three numbers': (_boxes([5, 5, 20]), 'error', '1 boxes that are not four numbers: annotations 0'),
    'text for a number': (_one('bbox', ['5', 5, 20, 20]), 'error', 'not four numbers: annotations 1'),
    'no box': (_one('bbox', None), 'error', 'not four numbers'),
    'unknown category': (_one('category_id', 9), 'error', "`category_id` (9) is that of no entry of `categories`"),
    'category as text': (_one('category_id', '2'), 'error', '`category_id` (2) is that of no entry'),
    'unknown picture': (_one('image_id', 77), 'error', '`image_id` (77) is that of no entry of `images`'),
    'no annotations': (lambda content: content.update(annotations=[]), 'error', 'has no annotations at all'),
    'no images': (lambda content: content.update(images=[]), 'error', 'has no images at all'),
    'no list of categories': (_without('categories'), 'error', 'has no list `categories`'),
    'no list of annotations': (_without('annotations'), 'error', 'has no list `annotations`'),
    'no area': (lambda content: content['annotations'][1].pop('area') and None, 'error', 'number 1 of `annotations` has no area'),
    'no file name': (lambda content: content['images'][1].pop('file_name') and None, 'error', 'number 1 of `images` has no file_name'),
    'ids twice': (_one('id', 0), 'error', 'ids of `annotations` that stand there twice: 0'),
    'picture without size': (_all('width', 0, 'images'), 'error', '2 pictures without a size'),
    'picture wider than its entry': (_all('width', 60, 'images'), 'error', 'is 80x60, its entry says 60x60'),
    'missing picture': (_one('file_name', 'c.png', 'images'), 'error', 'are not there'),
    'other classes': (lambda content: content.update(categories=[dict(id=1, name='x'), dict(id=2, name='y')]), 'error', 'metainfo=dict(classes='),
    'a class more': (lambda content: content['categories'].append(dict(id=3, name='cow')), 'warning', '0 objects of cow are left out'),
    'a class less': (lambda content: content['categories'][1].update(name='dogs'), 'error', 'no category of'),
    'an unused class': (_all('category_id', 1), 'warning', 'has no object of dog'),
    'a list': (lambda content: json.dumps([content]), 'error', 'holds a list'),
    'cut off': (lambda content: json.dumps(content)[:-20], 'error', 'is no JSON'),
}  # fmt: skip
"""By name: the change, how grave it is, and a part of what is said."""


def _set(path: str, value: Any) -> Change:
    def change(config: dict[str, Any]) -> None:
        *names, last = path.split('.')
        for name in names:
            config = config[name]
        config[last] = value

    return change


_ROI = 'model.roi_head'
_DATASET = 'train_dataloader.dataset'
CONFIG_MISTAKES: dict[str, tuple[Change, str, str]] = {
    'classes forgotten': (lambda c: c['train_dataloader']['dataset'].pop('metainfo'), 'error', 'the dataset has 80 classes'),
    'head of 80': (_set(f'{_ROI}.bbox_head.num_classes', 80), 'error', '`model.roi_head.bbox_head.num_classes` is 80'),
    'mask head of 80': (_set(f'{_ROI}.mask_head.num_classes', 80), 'error', 'mask_head.num_classes` is 80'),
    'a cascade': (_set(f'{_ROI}.bbox_head', [dict(num_classes=2), dict(num_classes=3)]), 'error', 'bbox_head.1.num_classes` is 3'),
    'text': (_set(f'{_ROI}.bbox_head.num_classes', '2'), 'error', "bbox_head.num_classes` ('2') must be a whole number"),
    'half': (_set(f'{_ROI}.bbox_head.num_classes', 2.5), 'error', '(2.5) must be a whole number'),
    'one class as text': (_set(f'{_DATASET}.metainfo', dict(classes='cat')), 'error', 'has 1 classes (cat)'),
    'no file': (_set(f'{_DATASET}.ann_file', 'nothing.json'), 'error', 'there is no such file'),
    'other folder': (_set(f'{_DATASET}.data_prefix', dict(img='nowhere')), 'error', 'are not there'),
    'inside a wrapper': (
        lambda c: c.update(train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=dict(c['train_dataloader']['dataset'], ann_file='x.json')))),
        'error', 'there is no such file',
    ),
    'type None': (_set('model.backbone', dict(type=None)), 'error', '`model.backbone.type` is None'),
    'type None in a list': (_set('custom_hooks', [dict(type=None)]), 'error', '`custom_hooks.0.type` is None'),
    'no evaluator': (_set('val_dataloader', dict(dataset=dict(type='CocoDataset'))), 'error', 'set all three or none'),
}  # fmt: skip
"""By name, as ``COCO_MISTAKES``."""
