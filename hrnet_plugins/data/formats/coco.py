"""COCO JSON: one file a set, its pictures wherever their names lead."""

from __future__ import annotations

import codecs
import json
import math
import re
from pathlib import Path
from typing import Any

from hrnet_plugins.data.boxes import box_fault, is_box, is_number
from hrnet_plugins.data.content import ALL, Box, Content, DataError, Picture, Task
from hrnet_plugins.data.files import Tree, is_file, split_of, split_of_path

TASK: Task = 'detection'
LOOKED_FOR = 'COCO: *.json with images, annotations and categories'
_KEYS = ('images', 'annotations', 'categories')
_LABELME = re.compile(rb'"shapes"\s*:\s*\[')
"""What LabelMe's files have near their start; there may be thousands, each with its picture inside."""
_PREFERRED = 'instances'
"""COCO's own files of boxes start with it; beside them are those of captions and of people's joints."""


def find(tree: Tree) -> Content | None:
    """The content, without the objects, if there are COCO files."""
    found: dict[str, list[Path]] = {}
    loaded: dict[Path, dict[str, Any]] = {}
    for path in tree.named('.json'):
        data = _coco(path)
        if data is not None:
            loaded[path] = data
            split = split_of(path.stem) or split_of_path(path.parent, tree.root) or ALL
            found.setdefault(split, []).append(path)
    if not found:
        return None
    chosen = {split: _one(tree, split, paths) for split, paths in found.items()}
    if 'train' in chosen:
        chosen.pop(ALL, None)  # the sets together, beside each of them
    if len(chosen) > 1 and ALL in chosen:
        raise DataError(
            f'{", ".join(map(tree.relative, chosen.values()))} are COCO files, and not all of them belong to a set by '
            'their names (train, val, test): name a folder with one or with all of them'
        )
    splits: dict[str, list[Picture]] = {}
    native: dict[str, Any] = {}
    info: dict[str, Any] = {}
    for split, path in chosen.items():
        data = loaded[path]
        folder = _picture_folder(tree, path, data['images'], split)
        splits[split] = [Picture(folder / row['file_name'], path, _key(row.get('id'))) for row in data['images']]
        native[split] = dict(ann_file=path, img=tree.relative(folder))
        info[split] = data
    where = ', '.join(
        f'{tree.relative(path)} with the pictures of {native[split]["img"]}/' for split, path in chosen.items()
    )
    return Content('coco', TASK, tree.root, splits, where, native=native, info=info)


def read(content: Content) -> None:
    """Fill in the objects and the classes, in the order of their categories."""
    orders = []
    for split, pictures in content.splits.items():
        data = content.info.pop(split)
        path = content.native[split]['ann_file']
        names, clean = _categories(content, path, data)
        clean &= data['clean']
        for place, what in data['odd']:
            content.add('malformed', path, place, what)
        by_id: dict[str, Picture] = {}
        for row, picture in zip(data['images'], pictures):
            if isinstance(row.get('width'), int) and isinstance(row.get('height'), int):
                picture.stated = (row['width'], row['height'])
            else:
                clean = False
            clean &= type(row.get('id')) is int
            if by_id.setdefault(picture.name, picture) is not picture:
                content.add('malformed', path, f'image {picture.name}', f'{picture.path.name} has the id of another')
                picture.dropped = True
        for row in data['annotations']:
            clean &= _read(content, path, row, names, by_id)
        if not clean or len({str(row.get('id')) for row in data['annotations']}) < len(data['annotations']):
            content.native[split] = {}
        orders.append(list(dict.fromkeys(names.values())))
        listed = {picture.path for picture in pictures}
        for folder in {picture.path.parent for picture in pictures if is_file(picture.path)}:
            if all(other_split == split or folder not in {p.path.parent for p in other}
                   for other_split, other in content.splits.items()):  # fmt: skip
                for other in sorted(folder.iterdir()):
                    if other.suffix.lower() in ('.jpg', '.jpeg', '.png') and other not in listed:
                        content.add('no-labels', other)
    content.classes = list(dict.fromkeys(name for order in orders for name in order))
    for split, order in zip(content.splits, orders):
        if order != content.classes:  # mmdet numbers classes as each file lists them
            content.native[split] = {}


def xyxy_of(bbox: Any) -> Any:
    """Left, top, right and bottom of an annotation's ``bbox``; the value itself where it is not four numbers."""
    if not is_box(bbox):
        return bbox
    left, top, width, height = map(float, bbox)
    return left, top, left + width, top + height


def _coco(path: Path) -> dict[str, Any] | None:
    """The content of a file that is COCO's kind of JSON and has boxes or could have."""
    try:
        with path.open('rb') as file:
            head = file.read(4096)
        marked = head.startswith(codecs.BOM_UTF8)
        if head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] != b'{' or _LABELME.search(head):
            return None
        data = json.loads(path.read_text(encoding='utf-8-sig'))
    except (ValueError, OSError, RecursionError):
        return None
    if not all(isinstance(data.get(key), list) for key in _KEYS) or not data['images']:
        return None
    rows = {key: [row for row in data[key] if isinstance(row, dict)] for key in _KEYS}
    if data['annotations'] and all('bbox' not in row for row in rows['annotations'][:20]):
        return None  # captions
    odd = [
        (f'number {i} of {key}', f'{json.dumps(row)[:40]} is no object')
        for key in _KEYS
        for i, row in enumerate(data[key])
        if not isinstance(row, dict)
    ]
    odd += [(f'image {row.get("id")}', 'it has no file_name') for row in rows['images'] if not _has_name(row)]
    # mmdet's reader stops at such a mark.
    return dict(rows, images=list(filter(_has_name, rows['images'])), odd=odd, clean=not odd and not marked)


def _has_name(row: dict[str, Any]) -> bool:
    return isinstance(row.get('file_name'), str) and row['file_name'] != ''


def _is_id(value: Any) -> bool:
    return type(value) in (int, float, str)


def _key(value: Any) -> str:
    """An id as text: tables write 7 as 7.0 where other rows have none."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _one(tree: Tree, split: str, paths: list[Path]) -> Path:
    if len(paths) > 1:
        preferred = [path for path in paths if path.name.startswith(_PREFERRED)]
        if len(preferred) != 1:
            kind = 'that name no set' if split == ALL else f'of one set ({split})'
            raise DataError(
                f'{", ".join(map(tree.relative, sorted(paths)))} are COCO files {kind}: leave one of them in the '
                'folder that --data names, or name another'
            )
        paths = preferred
    return paths[0]


def _picture_folder(tree: Tree, path: Path, rows: list[dict[str, Any]], split: str) -> Path:
    """The folder from which most of the file's names lead to pictures."""
    names = [row['file_name'] for row in rows[:: max(1, len(rows) // 50)]]
    near = [path.parent, tree.root]
    for base in (path.parent, path.parent.parent, tree.root):
        near += [base / name for name in ('images', f'images/{split}', split, f'{split}/images', 'JPEGImages')]
    inside = [folder for folder in dict.fromkeys([*near, *tree.pictures]) if folder.is_relative_to(tree.root)]
    candidates = [folder for folder in inside if folder.is_dir()]
    hits = {folder: sum(is_file(folder / name) for name in names) for folder in candidates}
    best = max(hits.values(), default=0)
    # Of folders with as many, the one whose name is the set's.
    ranked = [folder for folder in candidates if hits[folder] == best]
    return next((folder for folder in ranked if split_of(folder.name) == split), ranked[0])


def _categories(content: Content, path: Path, data: dict[str, Any]) -> tuple[dict[Any, str], bool]:
    """Names by id, without those that only name the group of the others, and whether mmdet can read them so."""
    rows = [row for row in data['categories'] if isinstance(row.get('name'), str) and _is_id(row.get('id'))]
    used = {row['category_id'] for row in data['annotations'] if _is_id(row.get('category_id'))}
    groups = [row.get('supercategory') for row in rows]
    names: dict[Any, str] = {}
    clean = len(rows) == len(data['categories'])
    for row in rows:
        name, key = row['name'].strip(), row['id']
        others = [other for other in rows if other is not row]
        if key not in used and name in groups and all(other.get('supercategory') == name for other in others):
            content.add('group-class', path, detail=name)
            continue
        if name in names.values():
            content.add('repeated-class', path, f'category {key}', name)
            clean = False
        clean &= name == row['name'] and type(key) is int
        names[key] = name
    return names, clean


def _read(
    content: Content, path: Path, row: dict[str, Any], names: dict[Any, str], pictures: dict[str, Picture]
) -> bool:
    """Add one annotation to its picture; whether mmdet reads it as it is."""
    place = f'annotation {row.get("id")}'
    picture = pictures.get(_key(row.get('image_id')))
    if picture is None:
        content.add('no-picture', path, place, f'image_id {row.get("image_id")} is not among the images')
        return False
    if not _is_id(row.get('category_id')) or row['category_id'] not in names:
        content.add('unknown-class', path, place, f'category_id {row.get("category_id")} is not among the categories')
        return False
    box = xyxy_of(row.get('bbox'))
    fault = box_fault(box)
    if fault in ('malformed', 'nan-box'):
        content.add(fault, path, place, f'its bbox is {row.get("bbox")}')
        return False
    stated = row.get('segmentation') or None
    outline = _outline(stated)
    label = names[row['category_id']]
    crowd = bool(row.get('iscrowd'))
    picture.boxes.append(Box(label, box, place, outline, crowd))
    exact = outline == stated and type(row['image_id']) is type(row['category_id']) is int
    return exact and is_number(row.get('area')) and not row.get('ignore')


def _outline(stated: Any) -> Any:
    """What can be used of a ``segmentation``: polygons of three points and more, or a run-length encoding."""
    if isinstance(stated, dict):
        size, counts = stated.get('size'), stated.get('counts')
        whole = isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)
        runs = isinstance(counts, str) or (isinstance(counts, list) and all(type(run) is int for run in counts))
        return stated if whole and runs else None
    if not isinstance(stated, list):
        return None
    return [polygon for polygon in stated if _is_polygon(polygon)] or None


def _is_polygon(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 6 and len(value) % 2 == 0 and all(map(_is_finite, value))


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
