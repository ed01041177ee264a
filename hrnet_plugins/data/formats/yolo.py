"""YOLO: a text file a picture, with a class and a box or outline a line, and a YAML file with names and sets."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import yaml

from hrnet_plugins.data.content import ALL, Box, Content, DataError, Picture, Task
from hrnet_plugins.data.files import Tree, is_file, names_of, split_of_path

TASK: Task = 'detection'
LOOKED_FOR = 'YOLO: *.yaml with names, or labels/**/*.txt of numbers beside images/'
_SETS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}
_LISTS = ('classes.txt', 'obj.names', 'labels.txt', 'names.txt')


def find(tree: Tree, names: list[str] | None = None) -> Content | None:
    """The content, without the objects, if there is such a YAML file or such labels.

    Args:
        tree: The files.
        names: The classes, where no file names them.
    """
    described = [(path, data) for path in tree.named('.yaml', '.yml') if (data := _described(path)) is not None]
    if len(described) > 1:
        raise DataError(
            f'{", ".join(tree.relative(path) for path, _ in described)} each describe a YOLO data set: '
            'leave one of them in the folder that --data names, or name another'
        )
    if described:
        path, data = described[0]
        sets = _sets(tree, path, data)
        where = f'{tree.relative(path)}'
        known = names or _names(path, data)
    else:
        sets, path = {}, tree.root
        where = 'labels by the names of their pictures'
        known = names or _listed(tree)
    sets = sets or _usual(tree)
    if not sets:
        if described:
            raise DataError(
                f'{tree.relative(path)} describes a YOLO data set, and the pictures are neither where it says nor in '
                'images/train, train/images or images; correct its `path` and `train`'
            )
        return None
    if not known:
        raise DataError(
            f'{tree.root} looks like YOLO labels, and no YAML file or {_LISTS[0]} names the classes: say them in '
            'order with --classes'
        )
    splits = {
        split: [Picture(picture, _labels(picture), picture.stem) for picture in pictures]
        for split, pictures in sets.items()
    }
    return Content('yolo', TASK, tree.root, splits, where, classes=list(known), info=dict(tree=tree))


def read(content: Content) -> None:
    """Fill in the objects."""
    for picture in content.pictures():
        path = picture.labels
        assert path is not None
        if not is_file(path):
            content.add('background', picture.path, detail=f'{path.name} is not there')
            continue
        if picture.header.error:
            continue
        try:
            lines = path.read_text(encoding='utf-8-sig').splitlines()
        except (OSError, UnicodeDecodeError) as error:
            content.add('unreadable-labels', path, detail=str(error))
            picture.dropped = True
            continue
        for number, line in enumerate(lines, start=1):
            if line.strip():
                _read(content, picture, path, line, f'line {number}')
    _alone(content)


def _alone(content: Content) -> None:
    """Note the label files that no picture has."""
    tree: Tree = content.info['tree']
    taken = {picture.labels for picture in content.pictures()}
    folders = {path.parent for path in taken if path is not None}
    for folder in sorted(folders):
        for name in tree.files.get(folder, ()):
            path = folder / name
            if path.suffix == '.txt' and path not in taken and name not in _LISTS and _is_labels(path):
                content.add('no-picture', path)


def _described(path: Path) -> dict[str, Any] | None:
    try:
        data = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (yaml.YAMLError, OSError, ValueError, RecursionError):  # ValueError: no text, or a date that is none
        return None
    known = isinstance(data, dict) and ('names' in data or 'nc' in data)
    return data if known and any(key in data for keys in _SETS.values() for key in keys) else None


def _names(path: Path, data: dict[str, Any]) -> list[str]:
    names = data.get('names')
    if isinstance(names, dict):
        try:
            numbered = {int(key): str(name) for key, name in names.items()}
        except (ValueError, TypeError):
            raise DataError(f'`names` of {path} must be numbered from 0, and has the keys {list(names)[:5]}') from None
        if sorted(numbered) != list(range(len(numbered))):
            raise DataError(f'`names` of {path} must be numbered from 0 without gaps, and is {sorted(numbered)[:10]}')
        return [numbered[i] for i in range(len(numbered))]
    if isinstance(names, list):
        return [str(name) for name in names]
    raise DataError(f'`names` of {path} ({names}) must be a list or a mapping from number to name')


def _listed(tree: Tree) -> list[str]:
    lists = [folder / name for folder, names in tree.files.items() for name in names if name in _LISTS]
    return names_of(lists[0]) if lists else []


def _sets(tree: Tree, path: Path, data: dict[str, Any]) -> dict[str, list[Path]]:
    """Pictures by set as the YAML file says, as far as they are there."""
    stated = Path(os.path.expanduser(str(data.get('path') or '.')))
    # Data get moved: its folder as it says, then the file's own folder.
    bases = [stated if stated.is_absolute() else path.parent / stated, path.parent]
    found = {}
    for split, keys in _SETS.items():
        entry = next((data[key] for key in keys if data.get(key)), None)
        entries = [entry] if isinstance(entry, str) else entry if isinstance(entry, list) else []
        pictures = [picture for one in entries for picture in _pictures_of(tree, bases, str(one))]
        if pictures:
            found[split] = sorted(dict.fromkeys(pictures))
    if 'val' in found and found['val'] == found.get('train'):
        found.pop('val')  # as in ultralytics' coco8 and other samples: no set to choose by
    return found


def _pictures_of(tree: Tree, bases: list[Path], entry: str) -> list[Path]:
    bare = entry
    while bare.startswith('../'):  # Roboflow writes ../train/images for train/images
        bare = bare[3:]
    for base in bases:
        for name in (entry, bare):
            place = Path(os.path.normpath(base / name))
            if is_file(place) and place.suffix == '.txt':
                lines = [Path(line) for line in names_of(place)]
                return [Path(os.path.normpath(p if p.is_absolute() else base / p)) for p in lines]
            pictures = tree.below(place)
            if pictures:
                return pictures
    return []


def _usual(tree: Tree) -> dict[str, list[Path]]:
    """Pictures by set in the usual folders, if at least some have labels of numbers."""
    found: dict[str, list[Path]] = {}
    for folder in sorted(tree.pictures):
        pictures = [folder / name for name in tree.pictures[folder]]
        labelled = [path for picture in pictures if is_file(path := _labels(picture))]
        if labelled and any(map(_is_labels, labelled[:20])):
            found.setdefault(split_of_path(folder, tree.root) or ALL, []).extend(pictures)
    if len(found) > 1 and ALL in found:
        found.pop(ALL)
    return found


def _labels(picture: Path) -> Path:
    """Where the labels of a picture are: the last ``images`` of its path becomes ``labels``."""
    parts = list(picture.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == 'images':
            parts[i] = 'labels'
            break
    return Path(*parts).with_suffix('.txt')


def _is_labels(path: Path) -> bool:
    try:
        lines = [line.split() for line in path.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
        return all(len(words) >= 5 and all(map(_is_number, words)) for words in lines[:5]) and bool(lines)
    except (OSError, UnicodeDecodeError):
        return False


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _read(content: Content, picture: Picture, path: Path, line: str, place: str) -> None:
    words = line.split()
    if len(words) < 5 or not all(map(_is_number, words)) or (len(words) > 6 and len(words) % 2 == 0):
        wanted = 'a class and four numbers, or a class and three or more points'
        content.add('malformed', path, place, f'{line.strip()[:60]!r} is not {wanted}')
        return
    index, *values = map(float, words)
    if not all(map(math.isfinite, values)):
        content.add('nan-box', path, place, line.strip()[:60])
        return
    if index % 1 or not 0 <= index < len(content.classes):
        content.add('unknown-class', path, place, f'class {words[0]} of {len(content.classes)}, which count from 0')
        return
    width, height = picture.header.upright
    outline = None
    if len(values) <= 5:  # the fifth is a score
        x, y, w, h = (v * side for v, side in zip(values, (width, height, width, height)))
        box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    else:
        xs, ys = [v * width for v in values[::2]], [v * height for v in values[1::2]]
        box = (min(xs), min(ys), max(xs), max(ys))
        outline = [[round(v, 2) for point in zip(xs, ys) for v in point]]
    picture.boxes.append(Box(content.classes[int(index)], box, place, outline))
