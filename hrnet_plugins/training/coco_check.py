"""Looking for what is wrong in a COCO file before training reads it."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hrnet_plugins.data.boxes import UNKNOWN_SIZE, box_fault, is_number
from hrnet_plugins.data.formats.coco import xyxy_of
from hrnet_plugins.training.findings import Finding, box_findings, error, some, warning
from hrnet_plugins.training.picture_check import SAMPLE, check_pictures

_NEEDED = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}
"""What mmdet's dataset reads of each entry."""
_TYPES: dict[str, Any] = {
    **dict.fromkeys(('id', 'image_id', 'category_id'), (int, float, str)),
    **dict.fromkeys(('file_name', 'name'), str),
}
"""What it has to be, where anything else stops the dataset."""
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
        content = json.loads(file.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as problem:
        return [error(f'{file} is no JSON in UTF-8: {problem}')]
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
        sizes = [(entry['width'], entry['height']) for entry in sample]
        stated = [size if all(map(_is_side, size)) else None for size in sizes]
        found += check_pictures([(pictures / entry['file_name'], s) for entry, s in zip(sample, stated)], str(file))
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
                odd = [
                    f'`{key}` is {entry[key]!r}' for key in keys if not isinstance(entry[key], _TYPES.get(key, object))
                ]
                if odd:
                    yield error(f'{file}: number {i} of `{part}` cannot be read, {", ".join(odd)}')
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
    sizes = {entry['id']: (entry['width'], entry['height']) for entry in content['images']}
    odd = [e['file_name'] for e in content['images'] if not (_is_side(e['width']) and _is_side(e['height']))]
    if odd:
        yield error(f'{file}: {len(odd)} pictures without a size in pixels: {some(odd)}')
        return
    boxes = [(a['id'], a['bbox'], sizes.get(a['image_id'], UNKNOWN_SIZE)) for a in content['annotations']]
    places: dict[str, list[Any]] = defaultdict(list)
    for key, box, size in boxes:
        places[box_fault(xyxy_of(box), size)].append(key)
    out = places['outside'] + places['wholly-outside']
    many = len(out) >= max(2, _MANY * len(boxes))
    if many and sum(not box_fault(box, size) for _, box, size in boxes) > 0.95 * len(boxes):
        yield error(
            f'{file}: {len(out)} of {len(boxes)} boxes reach out of their pictures, and all fit if their last two '
            f'numbers are the right bottom corner. COCO has [left, top, width, height]: annotations {some(out)}'
        )
        return
    yield from box_findings(places, len(boxes), file=f'{file}: ', unit='annotations ', dropped=True)


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


def _is_side(value: Any) -> bool:
    return is_number(value) and value >= 1
