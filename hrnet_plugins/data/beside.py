"""The files that are written beside a config: sets, and labels in a form that the frameworks read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hrnet_plugins.data.content import Content, Picture


def write_sets(content: Content, folder: Path) -> dict[str, dict[str, Any]]:
    """Write what each set needs, and say where it is.

    Where the framework's own dataset reads the user's files as they are, nothing is written.

    Args:
        content: Checked data with a training and a validation set.
        folder: Of the files; made where it is missing.

    Returns:
        By set ``kind`` (``coco``, ``voc``, ``pairs`` or ``list``, ``folder``) and what it needs: ``ann_file``, a path,
        and ``img``, ``img_subdir``, ``ann_subdir`` or ``folder``.
    """
    writers: dict[str, Callable[[Content, str, Path], dict[str, Any]]] = {
        'detection': _detection,
        'segmentation': _pairs,
        'classification': _classification,
    }
    return {split: writers[content.task](content, split, folder) for split in content.splits}


def _detection(content: Content, split: str, folder: Path) -> dict[str, Any]:
    native = content.native.get(split) or {}
    if native and content.format == 'voc':
        listed = native['ann_file']
        if listed is None:
            listed = _text(folder / f'{split}.txt', [picture.name for picture in content.splits[split]])
        return dict(native, kind='voc', ann_file=listed)
    if native:
        return dict(native, kind='coco')
    path = folder / f'{split}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(coco(content, split)), encoding='utf-8')
    return dict(kind='coco', ann_file=path, img='')


def coco(content: Content, split: str) -> dict[str, Any]:
    """A set as COCO has it, names of pictures as seen from the data's folder; objects without outline get none."""
    ids = {name: i for i, name in enumerate(content.classes, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, picture in enumerate(content.splits[split], start=1):
        width, height = content.label_size(picture)
        name = picture.path.relative_to(content.root).as_posix()
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for box in picture.boxes:
            left, top, right, bottom = (round(v, 2) for v in box.xyxy)
            row: dict[str, Any] = dict(
                id=len(annotations) + 1,
                image_id=number,
                category_id=ids[box.label],
                bbox=[left, top, round(right - left, 2), round(bottom - top, 2)],
                area=_area(box.outline) or round((right - left) * (bottom - top), 2),
                iscrowd=int(box.crowd),
            )
            if box.outline is not None:
                row['segmentation'] = box.outline
            annotations.append(row)
    categories = [dict(id=i, name=name) for name, i in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)


def _area(outline: Any) -> float:
    """Of polygons, in pixels; 0 where there are none."""
    total = 0.0
    for polygon in outline if isinstance(outline, list) else ():
        xs, ys = polygon[::2], polygon[1::2]
        total += abs(sum(xs[i - 1] * y - x * ys[i - 1] for i, (x, y) in enumerate(zip(xs, ys)))) / 2
    return round(total, 2)


def _pairs(content: Content, split: str, folder: Path) -> dict[str, Any]:
    def line(picture: Picture) -> str:
        assert picture.labels is not None
        return '\t'.join(path.relative_to(content.root).as_posix() for path in (picture.path, picture.labels))

    return dict(kind='pairs', ann_file=_text(folder / f'{split}.txt', map(line, content.splits[split])))


def _classification(content: Content, split: str, folder: Path) -> dict[str, Any]:
    native = content.native.get(split) or {}
    if native:
        return dict(native, kind='folder')
    lines = [
        f'{picture.path.relative_to(content.root).as_posix()} {content.classes.index(picture.label)}'
        for picture in content.splits[split]
    ]
    return dict(kind='list', ann_file=_text(folder / f'{split}.txt', lines))


def _text(path: Path, lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')
    return path
