"""Looking for what is wrong in PASCAL VOC files before training reads them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hrnet_plugins.data.boxes import UNKNOWN_SIZE
from hrnet_plugins.data.checks import check_boxes
from hrnet_plugins.data.content import ALL, Content, DataError, Picture
from hrnet_plugins.data.files import lines_of
from hrnet_plugins.data.formats.voc import read_picture
from hrnet_plugins.training.findings import Finding, box_findings, error, some, warning
from hrnet_plugins.training.picture_check import SAMPLE, check_pictures


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
    try:
        names = [line for line in lines_of(listed) if line.strip()]
    except DataError as reason:
        return [error(str(reason))]
    if not names:
        return [error(f'{listed} names no picture at all')]
    entries = [Picture(pictures / f'{name}{suffix}', annotations / f'{name}.xml', name) for name in names]
    content = Content('voc', 'detection', annotations, {ALL: entries}, '')
    for picture in entries:
        read_picture(content, picture)
    labels = Counter(box.label for picture in entries for box in picture.boxes)
    for picture in entries:
        check_boxes(content, picture, picture.stated or UNKNOWN_SIZE)
    places: dict[str, list[str]] = defaultdict(list)
    for problem in content.problems:
        places[problem.kind].append(problem.where(Path()))
    found = [
        say(f'{len(of)} {text}: {some(of)}') for kind, (text, say) in _FILES.items() if (of := places.pop(kind, []))
    ]
    found += box_findings(places, labels.total())
    if any(finding.severity == 'error' for finding in found):
        return found
    if classes is not None:
        found += _check_classes(listed, labels, classes)
    sample = random.Random(0).sample(entries, min(SAMPLE, len(entries)))  # noqa: S311, any will do
    return [*found, *check_pictures([(picture.path, picture.stated) for picture in sample], str(annotations))]


_FILES = {
    'no-labels': ('files of annotations are not there', error),
    'unreadable-labels': ('files of annotations are no XML', error),
    'malformed': ('objects without a name or four numbers', error),
    'odd-field': ('fields that mmdet may not read', warning),
}
"""What is wrong besides boxes, by its kind in ``data.content``."""


def _check_classes(listed: Path, labels: Mapping[str, int], classes: Sequence[str]) -> Iterator[Finding]:
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
