"""Looking for what is wrong in a COCO file before training reads it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_plugins.training.findings import Finding, error, some, warning
from hrnet_plugins.training.picture_check import SAMPLE, check_pictures

_NEEDED = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}
"""What mmdet's dataset reads of each entry."""
_ROUNDING = 1.0
"""Pixels that a box may reach out of its picture without a word."""
_MANY = 0.3
"""Part of the boxes that reach out of their pictures from which they may be corners instead of widths."""


def check_coco(file: Path, *, classes: Sequence[str] | None, pictures: Path | None) -> list[Finding]:
    """Check a COCO file: its parts, its boxes, its classes, and the sizes of a sample of pictures.

    Args:
        file: The JSON file.
        classes: The dataset's classes (``metainfo``); ``None`` leaves them out.
        pictures: Folder of the pictures; ``None`` leaves them out.

    Returns:
        What is wrong.
    """
    if not file.is_file():
        return [error(f'{file}: there is no such file; see `ann_file` and `data_root` of the dataset')]
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, UnicodeDecodeError) as problem:
        return [error(f'{file} is no JSON: {problem}')]
    found = list(_check_parts(file, content))
    if any(finding.severity == 'error' for finding in found):
        return found
    found += _check_ids(file, content)
    found += _check_boxes(file, content)
    if classes is not None:
        found += _check_classes(file, content, classes)
    if pictures is not None:
        images = content['images']
        sample = random.Random(0).sample(images, min(SAMPLE, len(images)))  # noqa: S311, any will do
        entries = [(pictures / entry['file_name'], (entry['width'], entry['height'])) for entry in sample]
        found += check_pictures(entries, str(file))
    return found


def _check_parts(file: Path, content: Any) -> Iterator[Finding]:
    if not isinstance(content, dict):
        yield error(f'{file} holds a {type(content).__name__}, not the dict of images, annotations and categories')
        return
    for part, keys in _NEEDED.items():
        entries = content.get(part)
        if not isinstance(entries, list):
            yield error(f'{file} has no list `{part}`; a COCO file has images, annotations and categories')
        elif not entries:
            yield error(f'{file} has no {part} at all')
        else:
            for i, entry in enumerate(entries):
                lacking = [key for key in keys if not isinstance(entry, dict) or key not in entry]
                if lacking:
                    yield error(f'{file}: number {i} of `{part}` has no {", ".join(lacking)}')
                    break


def _check_ids(file: Path, content: dict[str, Any]) -> Iterator[Finding]:
    for part in _NEEDED:
        ids = [entry['id'] for entry in content[part]]
        if len(set(map(str, ids))) < len(ids):
            seen: set[str] = set()
            twice = [i for i in map(str, ids) if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
            yield error(f'{file}: ids of `{part}` that stand there twice: {some(twice)}')
    images = {entry['id'] for entry in content['images']}
    categories = {entry['id'] for entry in content['categories']}
    for key, known in (('image_id', images), ('category_id', categories)):
        strangers = [a['id'] for a in content['annotations'] if a[key] not in known]
        if strangers:
            part = 'images' if key == 'image_id' else 'categories'
            values = sorted({str(a[key]) for a in content['annotations'] if a[key] not in known})
            yield error(
                f'{file}: {len(strangers)} annotations whose `{key}` ({some(values)}) is that of no entry of `{part}`: '
                f'annotations {some(strangers)}'
            )


def _check_boxes(file: Path, content: dict[str, Any]) -> Iterator[Finding]:
    annotations = content['annotations']
    wrong = [a['id'] for a in annotations if not _is_box(a['bbox'])]
    if wrong:
        yield error(f'{file}: {len(wrong)} boxes that are not four numbers: annotations {some(wrong)}')
        return
    ids = [a['id'] for a in annotations]
    boxes = np.array([a['bbox'] for a in annotations], float)
    bad = ~np.isfinite(boxes).all(1)
    if bad.any():
        yield error(f'{file}: {bad.sum()} boxes that are NaN or infinite: annotations {_named(ids, bad)}')
        return
    sizes = {entry['id']: (entry['width'], entry['height']) for entry in content['images']}
    odd = [e['file_name'] for e in content['images'] if not (_is_size(e['width']) and _is_size(e['height']))]
    if odd:
        yield error(f'{file}: {len(odd)} pictures without a size in pixels: {some(odd)}')
        return
    bounds = np.array([sizes.get(a['image_id'], (np.inf, np.inf)) for a in annotations], float)
    corner, extent = boxes[:, :2], boxes[:, 2:]
    negative = (extent < 0).any(1)
    empty = (extent == 0).any(1) & ~negative
    out = ((corner < -_ROUNDING) | (corner + extent > bounds + _ROUNDING)).any(1) & ~negative
    as_corners = (extent > corner).all(1) & (extent <= bounds + _ROUNDING).all(1)
    if out.sum() >= max(2, _MANY * len(boxes)) and as_corners.mean() > 0.95:
        yield error(
            f'{file}: {out.sum()} of {len(boxes)} boxes reach out of their pictures, and all fit if their last two '
            f'numbers are the right bottom corner. COCO has [left, top, width, height]: annotations {_named(ids, out)}'
        )
        return
    if negative.any():
        yield error(f'{file}: {negative.sum()} boxes of negative size: annotations {_named(ids, negative)}')
    gone = ((corner >= bounds) | (corner + extent <= 0)).any(1) & ~negative & ~empty
    if gone.any():
        say = error if gone.all() else warning
        yield say(
            f'{file}: {gone.sum()} of {len(boxes)} boxes are wholly outside of their pictures and left out: '
            f'annotations {_named(ids, gone)}'
        )
    if (out & ~gone).any():
        yield warning(
            f'{file}: {(out & ~gone).sum()} boxes reach out of their pictures: annotations {_named(ids, out & ~gone)}'
        )
    if empty.any():
        say = error if empty.all() else warning
        yield say(f'{file}: {empty.sum()} boxes of no area are left out: annotations {_named(ids, empty)}')


def _check_classes(file: Path, content: dict[str, Any], classes: Sequence[str]) -> Iterator[Finding]:
    names = {entry['id']: entry['name'] for entry in content['categories']}
    unknown = [name for name in classes if name not in names.values()]
    left_out = [name for name in names.values() if name not in classes]
    if len(left_out) == len(names):
        yield error(
            f'{file} has the classes {some(list(names.values()))}, and the dataset has none of them but '
            f'{some(list(classes))}: nothing would be learnt. Set `metainfo=dict(classes=(...))` of the dataset to the '
            "file's names"
        )
        return
    if unknown:
        yield error(
            f"`metainfo` of the dataset has classes that are no category of {file}: {some(unknown)}; the file's: "
            f'{some(list(names.values()))}'
        )
    if left_out:
        count = sum(names.get(a['category_id']) in left_out for a in content['annotations'])
        yield warning(
            f'{file}: {count} objects of {some(left_out)} are left out, as these are no classes of `metainfo`'
        )
    used = {names.get(a['category_id']) for a in content['annotations']}
    unused = [name for name in classes if name in names.values() and name not in used]
    if unused:
        yield warning(f'{file} has no object of {some(unused)}')


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(_is_number(number) for number in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return _is_number(value) and value >= 1


def _named(ids: list[Any], mask: Any) -> str:
    return some([ids[i] for i in np.flatnonzero(mask)])
