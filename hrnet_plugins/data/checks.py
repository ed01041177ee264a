"""What is wrong with data that were read, and what stays of them."""

from __future__ import annotations

import filecmp
import os
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

from hrnet_plugins.data.boxes import box_fault
from hrnet_plugins.data.content import ALL, KINDS, Box, Content, Picture
from hrnet_plugins.data.files import READ, UNREAD, is_file, is_unread


def check(content: Content, *, merge_classes: bool = False) -> None:
    """Note what is wrong with pictures, objects, classes and sets, and drop what cannot be used.

    Args:
        content: What was read; what is dropped is gone from it afterwards.
        merge_classes: Make classes one that differ in case, spaces and plural alone.
    """
    _check_pictures(content)
    _check_orientation(content)
    _check_names(content)
    if content.task == 'detection':
        for picture in content.pictures():
            if not picture.dropped:
                check_boxes(content, picture, content.label_size(picture))
        _check_outlines(content)
    _check_classes(content, merge=merge_classes)
    for split, pictures in list(content.splits.items()):
        kept = [picture for picture in pictures if not picture.dropped]
        if len(kept) < len(pictures) and content.task != 'detection':
            content.native[split] = {}
        elif len(kept) < len(pictures) and content.native.get(split):
            # A VOC list can be written anew; a COCO file would have to be.
            content.native[split] = {**content.native[split], 'ann_file': None} if content.format == 'voc' else {}
        content.splits[split] = kept
        if split == 'test' and not any(picture.boxes or picture.label or picture.pixels for picture in kept):
            content.add('unlabelled-test', content.root, split, f'{len(pictures)} pictures')
            content.splits = {name: rest for name, rest in content.splits.items() if name != split}
        elif not any(picture.boxes or picture.label or picture.pixels for picture in kept):
            name = 'the folder' if split == ALL else split
            content.add(
                'empty-set', content.root, name, f'{len(pictures)} pictures, none with a label that can be used'
            )


def blocking(content: Content, *, drop_broken: bool = False) -> list[str]:
    """The kinds of problems that stop, in the order of ``KINDS``.

    Args:
        content: What was checked.
        drop_broken: Leave out what is broken, instead.
    """
    found = {problem.kind for problem in content.problems}
    errors = [kind for kind, row in KINDS.items() if kind in found and row.severity == 'error']
    return [kind for kind in errors if not drop_broken or '--drop-broken' not in KINDS[kind].action]


def _check_pictures(content: Content) -> None:
    for picture in content.pictures():
        header = picture.header
        if not is_file(picture.path):
            if not picture.dropped or picture.labels is None:
                content.add('no-picture', picture.labels or picture.path, detail=f'{picture.path.name} is not there')
            picture.dropped = True
        elif is_unread(picture.path):
            content.add('unsupported-picture', picture.path)
            picture.dropped = True
        elif header.error:
            content.add('unreadable-picture', picture.path, detail=header.error)
            picture.dropped = True
        else:
            if header.bits > 8:
                content.add('16-bit', picture.path, detail=f'{header.bits} bits a channel')
            if header.mode in ('RGBA', 'LA', 'PA'):
                content.add('rgba', picture.path, detail=header.mode)
            if header.mode in ('L', 'LA', '1', 'I;16', 'I', 'F'):
                content.add('grey', picture.path)


def _check_orientation(content: Content) -> None:
    """Decide whether labels are for pictures as stored or as shown: what most of those say that state a size."""
    turned = [p for p in content.pictures() if not p.dropped and p.header.orientation != 1]
    stored = [p for p in turned if p.header.turned and p.stated == p.header.size != p.header.upright]
    shown = [p for p in turned if p.header.turned and p.stated == p.header.upright != p.header.size]
    content.turned_labels = len(stored) > len(shown)
    for picture in turned:
        content.add('rotated', picture.path, detail=f'EXIF orientation {picture.header.orientation}')
    for picture in shown if content.turned_labels else stored:
        content.add('rotated-mixed', picture.path, detail='{}x{} in its labels'.format(*(picture.stated or (0, 0))))
        picture.dropped = True
    for picture in content.pictures():
        if picture.dropped or picture.stated is None or picture.stated == content.label_size(picture):
            continue
        if content.task == 'detection':
            sizes = ['{}x{}'.format(*size) for size in (picture.stated, content.label_size(picture))]
            content.add(
                'stated-size', picture.labels or picture.path, picture.path.name, f'{sizes[0]}, it is {sizes[1]}'
            )
            _not_native(content)


def _check_names(content: Content) -> None:
    used = {picture.path for picture in content.pictures()}
    for folder in sorted({path.parent for path in used if os.path.isdir(path.parent)}):
        stems: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in READ | UNREAD:
                stems[path.stem].append(path)
        for paths in stems.values():
            if len(paths) > 1 and not used.isdisjoint(paths) and content.task != 'segmentation':
                content.add('duplicate-name', paths[1], detail=f'beside {paths[0].name}')
    for split, pictures in content.splits.items():
        for path, count in Counter(picture.path for picture in pictures).items():
            if count > 1:
                content.add('duplicate-name', path, detail=f'{count} times in {split}')
    by_name: dict[str, dict[str, Path]] = defaultdict(dict)
    for split, pictures in content.splits.items():
        for picture in pictures:
            for other, path in by_name[picture.path.name].items():
                if other != split and _same(path, picture.path):
                    content.add('in-two-splits', picture.path, detail=f'in {other} and {split}')
            by_name[picture.path.name].setdefault(split, picture.path)


def _same(a: Path, b: Path) -> bool:
    """Whether two files are one, or hold the same bytes."""
    if a == b:
        return True
    return is_file(a) and is_file(b) and filecmp.cmp(a, b, shallow=False)


def check_boxes(content: Content, picture: Picture, size: tuple[float, float]) -> None:
    """Note what is wrong with the boxes of a picture, cut them at its edge, and drop what cannot be used.

    Args:
        content: Takes the problems.
        picture: The picture.
        size: Its width and height, as its labels see it.
    """
    width, height = size
    kept = []
    for box in picture.boxes:
        left, top, right, bottom = box.xyxy
        fault = box_fault(box.xyxy, size)
        if fault:
            shown = f'{box.label} from ({left:g}, {top:g}) to ({right:g}, {bottom:g})'
            outside = f' of {width}x{height}' if fault.endswith('outside') else ''
            content.add(fault, picture.labels or picture.path, box.place, f'{shown}{outside}')
            if outside or content.format != 'voc':
                _not_native(content)
        if fault in ('', 'outside'):
            inside = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
            kept.append(replace(box, xyxy=inside))
    picture.boxes = kept


def _check_outlines(content: Content) -> None:
    if not content.has_outlines:
        return
    for picture in content.pictures():
        for i, box in enumerate(picture.boxes):
            if box.outline is None:
                content.add('no-outline', picture.labels or picture.path, box.place, box.label)
                left, top, right, bottom = box.xyxy
                outline = [[left, top, right, top, right, bottom, left, bottom]]
                picture.boxes[i] = replace(box, outline=outline)
                _not_native(content)


def _check_classes(content: Content, *, merge: bool) -> None:
    counts = class_counts(content)
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in content.classes:
        spellings[_stem(name)].append(name)
    renamed: dict[str, str] = {}
    for names in spellings.values():
        if len(names) > 1:
            best = max(names, key=lambda name: counts[name])
            shown = ', '.join(f'{name} ({counts[name]})' for name in names)
            merged = merge and content.task != 'segmentation'
            content.add('merged-class' if merged else 'similar-class', content.root, detail=shown)
            if merged:
                renamed |= {name: best for name in names if name != best}
    if renamed:
        _rename(content, renamed)
    for name in content.classes:
        if not class_counts(content)[name]:
            content.add('unused-class', content.root, detail=name)


def _stem(name: str) -> str:
    """What is left of a name without case, spaces and plural."""
    word = re.sub(r'[\s_-]+', ' ', name.strip().lower())
    word = re.sub(r'(?<=[a-z]{2})ies$', 'y', word)
    word = re.sub(r'(?<=[a-z])(x|z|ch|sh|ss)es$', r'\1', word)
    return re.sub(r'(?<=[a-z]{2}[^s])s$', '', word)


def _rename(content: Content, renamed: dict[str, str]) -> None:
    for picture in content.pictures():
        picture.label = renamed.get(picture.label, picture.label)
        picture.boxes = [replace(box, label=renamed.get(box.label, box.label)) for box in picture.boxes]
    _not_native(content)
    content.classes = [name for name in content.classes if name not in renamed]


def class_counts(content: Content, split: str | None = None) -> Counter[str]:
    """Objects by class in detection, pictures by class in classification, pixels by class in segmentation."""
    pictures = content.pictures() if split is None else content.splits[split]
    counts: Counter[str] = Counter()
    for picture in pictures:
        if picture.dropped:
            continue
        if content.task == 'detection':
            counts.update(box.label for box in picture.boxes)
        elif content.task == 'classification':
            counts[picture.label] += 1
        else:
            for name, value in zip(content.classes, content.label_values):
                counts[name] += picture.pixels.get(value, 0)
    return counts


def sized(boxes: list[Box]) -> list[float]:
    """Sides of squares of the boxes' areas, in pixels."""
    return [((b.xyxy[2] - b.xyxy[0]) * (b.xyxy[3] - b.xyxy[1])) ** 0.5 for b in boxes]


def _not_native(content: Content) -> None:
    """The framework's own dataset cannot read it as it is."""
    content.native = {split: {} for split in content.splits}
