"""LabelMe: a JSON file a picture, beside it or in a folder of its own."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from hrnet_plugins.data.content import ALL, Box, Content, Picture, Task
from hrnet_plugins.data.files import READ, Tree, is_file, names_of, split_of_path

TASK: Task = 'detection'
LOOKED_FOR = 'LabelMe: *.json with shapes and imagePath'
_CIRCLE_POINTS = 32
_NO_CLASSES = ('__ignore__', '_background_')
"""Lines of LabelMe's ``labels.txt`` that are no classes of objects."""


def find(tree: Tree) -> Content | None:
    """The content, without the objects, if there are such files."""
    folders: dict[Path, list[Path]] = {}
    for path in tree.named('.json'):
        folders.setdefault(path.parent, []).append(path)
    folders = {folder: paths for folder, paths in folders.items() if any(map(_is_labelme, paths[:3]))}
    if not folders:
        return None
    splits: dict[str, list[Picture]] = {}
    for folder, paths in sorted(folders.items()):
        split = split_of_path(folder, tree.root) or ALL
        splits.setdefault(split, []).extend(Picture(_picture(tree, path), path, path.stem) for path in paths)
    if len(splits) > 1 and ALL in splits:
        splits = {ALL: [picture for pictures in splits.values() for picture in pictures]}
    lists = [folder / 'labels.txt' for folder in (tree.root, *folders) if (folder / 'labels.txt').is_file()]
    classes = [name for name in names_of(lists[0]) if name not in _NO_CLASSES] if lists else []
    where = ', '.join(f'{tree.relative(folder)}/*.json' for folder in sorted(folders))
    return Content('labelme', TASK, tree.root, splits, where, classes=classes)


def read(content: Content) -> None:
    """Fill in the objects, and the classes where no ``labels.txt`` lists them, sorted by name."""
    listed = bool(content.classes)
    for picture in content.pictures():
        _read(content, picture)
    if not listed:
        content.classes = sorted({box.label for picture in content.pictures() for box in picture.boxes})
    else:
        for picture in content.pictures():
            for box in picture.boxes:
                if box.label not in content.classes and picture.labels is not None:
                    content.add('unknown-class', picture.labels, box.place, f'{box.label} is not in labels.txt')
            picture.boxes = [box for box in picture.boxes if box.label in content.classes]
    labelled = {picture.path for picture in content.pictures()}
    for folder in {picture.path.parent for picture in content.pictures() if is_file(picture.path)}:
        for other in sorted(folder.iterdir()):
            if other.suffix.lower() in READ and other not in labelled:
                content.add('no-labels', other)


def _is_labelme(path: Path) -> bool:
    try:
        with path.open(encoding='utf-8-sig') as file:
            head = file.read(2000)
            if head.lstrip()[:1] != '{':
                return False
            return re.search(r'"shapes"\s*:\s*\[', head + file.read(2_000_000)) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _picture(tree: Tree, path: Path) -> Path:
    """The picture of a label file: that of its name beside it or in folders that mirror it, else what it says."""
    near = [path.parent, path.parent.parent / 'images', path.parent.parent, tree.root / 'images', tree.root]
    for folder in near:
        found = tree.stems(folder).get(path.stem)
        if found is not None:
            return found
    for folder in tree.pictures:
        if folder.name == path.parent.name and path.stem in tree.stems(folder):
            return tree.stems(folder)[path.stem]
    try:
        stated = str(json.loads(path.read_text(encoding='utf-8-sig')).get('imagePath') or '').replace('\\', '/')
    except (ValueError, OSError, AttributeError, RecursionError):
        stated = ''
    return path.parent / stated if stated else path.with_suffix('.jpg')


def _read(content: Content, picture: Picture) -> None:
    path = picture.labels
    assert path is not None
    try:
        data = json.loads(path.read_text(encoding='utf-8-sig'))
        shapes = data['shapes']
        assert isinstance(shapes, list)
    except (ValueError, OSError, KeyError, TypeError, AssertionError, RecursionError) as error:
        content.add('unreadable-labels', path, detail=str(error) or 'its shapes are no list')
        picture.dropped = True
        return
    width, height = data.get('imageWidth'), data.get('imageHeight')
    if isinstance(width, int) and isinstance(height, int):
        picture.stated = (width, height)
    for number, shape in enumerate(shapes, start=1):
        _read_shape(content, picture, path, shape, f'shape {number}')


def _read_shape(content: Content, picture: Picture, path: Path, shape: Any, place: str) -> None:
    try:
        label, kind = str(shape['label']).strip(), shape.get('shape_type') or 'polygon'
        points = [(float(x), float(y)) for x, y in shape['points']]
        assert label
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError):
        content.add('malformed', path, place, 'it has no label or no points')
        return
    if label in _NO_CLASSES:
        return
    if not all(math.isfinite(v) for point in points for v in point):
        content.add('nan-box', path, place, f'a point of {label} is no number')
        return
    polygon = _polygon(kind, points)
    if polygon is None:
        content.add('shape-kind', path, place, f'{label} is a {kind} of {len(points)} points')
        return
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    outlined = kind in ('polygon', 'circle')
    outline = [[round(v, 2) for point in polygon for v in point]] if outlined else None
    picture.boxes.append(Box(label, (min(xs), min(ys), max(xs), max(ys)), place, outline))


def _polygon(kind: str, points: list[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """The corners of what a shape encloses, or ``None``. A LabelMe mask counts as its box."""
    if kind == 'polygon' and len(points) >= 3:
        return points
    if kind in ('rectangle', 'mask') and len(points) == 2:
        (x1, y1), (x2, y2) = points
        return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    if kind == 'circle' and len(points) == 2:
        (x, y), edge = points
        radius = math.dist((x, y), edge)
        turns = [2 * math.pi * i / _CIRCLE_POINTS for i in range(_CIRCLE_POINTS)]
        return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]
    return None
