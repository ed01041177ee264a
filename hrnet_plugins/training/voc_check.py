"""Looking for what is wrong in PASCAL VOC files before training reads them."""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ET  # the files are those that mmdet will read with the same module
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hrnet_plugins.training.findings import Finding, error, some, warning
from hrnet_plugins.training.picture_check import SAMPLE, check_pictures

_SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
_ROUNDING = 1.0
"""Pixels that a box may reach out of its picture without a word."""


def check_voc(
    listed: Path, *, annotations: Path, pictures: Path, suffix: str = '.jpg', classes: Sequence[str] | None
) -> list[Finding]:
    """Check the annotations of the pictures that a list names, and the sizes of a sample of pictures.

    Args:
        listed: The list, a name a line.
        annotations: Folder of the XML files.
        pictures: Folder of the pictures.
        suffix: What their names end in.
        classes: The dataset's classes (``metainfo``); ``None`` leaves them out.

    Returns:
        What is wrong.
    """
    if not listed.is_file():
        return [error(f'{listed}: there is no such file; see `ann_file` and `data_root` of the dataset')]
    names = [line for line in listed.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
    if not names:
        return [error(f'{listed} names no picture at all')]
    places: dict[str, list[str]] = defaultdict(list)
    labels: dict[str, int] = defaultdict(int)
    sizes: dict[str, tuple[float, float]] = {}
    for name in names:
        _read(annotations / f'{name}.xml', name, places, labels, sizes)
    found = [say(text.format(len(where), some(where))) for (text, say) in _TEXTS if (where := places.get(text))]
    if any(finding.severity == 'error' for finding in found):
        return found
    if classes is not None:
        found += _check_classes(listed, labels, classes)
    sample = random.Random(0).sample(names, min(SAMPLE, len(names)))  # noqa: S311, any will do
    entries = [(pictures / f'{name}{suffix}', sizes.get(name)) for name in sample]
    return [*found, *check_pictures(entries, str(annotations))]


_ABSENT = '{} files of annotations are not there: {}'
_UNREADABLE = '{} files of annotations are no XML: {}'
_NO_BOX = '{} objects without a name or four numbers: {}'
_NO_NUMBER = '{} boxes that are NaN or infinite: {}'
_NEGATIVE = '{} boxes of negative size: {}'
_EMPTY = '{} boxes of no area: {}'
_OUTSIDE = '{} boxes are wholly outside of their pictures: {}'
_REACHING = '{} boxes reach out of their pictures: {}'
_TEXTS = (
    *((text, error) for text in (_ABSENT, _UNREADABLE, _NO_BOX, _NO_NUMBER, _NEGATIVE)),
    *((text, warning) for text in (_EMPTY, _OUTSIDE, _REACHING)),
)


def _read(
    path: Path,
    name: str,
    places: dict[str, list[str]],
    labels: dict[str, int],
    sizes: dict[str, tuple[float, float]],
) -> None:
    if not path.is_file():
        places[_ABSENT].append(str(path))
        return
    try:
        root = ET.parse(path).getroot()  # noqa: S314, see above
    except ET.ParseError as problem:
        places[_UNREADABLE].append(f'{path} ({problem})')
        return
    width, height = (_number(root.findtext(f'size/{side}')) for side in ('width', 'height'))
    if width is not None and height is not None:
        sizes[name] = (width, height)
    for number, node in enumerate(root.findall('object'), start=1):
        place = f'{path}, object {number}'
        label = (node.findtext('name') or '').strip()
        corners = [_number(node.findtext(f'bndbox/{side}')) for side in _SIDES]
        left, top, right, bottom = (math.nan if corner is None else corner for corner in corners)
        labels[label] += 1
        if not label or None in corners:
            places[_NO_BOX].append(place)
        elif not all(map(math.isfinite, (left, top, right, bottom))):
            places[_NO_NUMBER].append(place)
        elif right < left or bottom < top:
            places[_NEGATIVE].append(place)
        elif right == left or bottom == top:
            places[_EMPTY].append(place)
        elif name in sizes and (left >= sizes[name][0] or top >= sizes[name][1] or right <= 0 or bottom <= 0):
            places[_OUTSIDE].append(place)
        elif name in sizes and (
            min(left, top) < -_ROUNDING or right > sizes[name][0] + _ROUNDING or bottom > sizes[name][1] + _ROUNDING
        ):
            places[_REACHING].append(place)


def _check_classes(listed: Path, labels: dict[str, int], classes: Sequence[str]) -> Iterator[Finding]:
    left_out = [name for name in labels if name not in classes]
    if not labels:
        yield error(f'the pictures that {listed} names have no object at all')
    elif len(left_out) == len(labels):
        yield error(
            f'the pictures that {listed} names have objects of {some(sorted(labels))}, and the dataset has none of '
            f'these classes but {some(list(classes))}: nothing would be learnt. Set `metainfo=dict(classes=(...))` of '
            'the dataset to the names in the files'
        )
        return
    elif left_out:
        count = sum(labels[name] for name in left_out)
        yield warning(f'{count} objects of {some(left_out)} are left out, as these are no classes of `metainfo`')
    unused = [name for name in classes if name not in labels]
    if unused and labels:
        yield warning(f'the pictures that {listed} names have no object of {some(unused)}')


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
