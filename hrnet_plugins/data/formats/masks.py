"""Label maps: a folder of pictures, and one of PNG files whose values or colours are classes."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hrnet_plugins.data.content import ALL, SPLITS, Content, DataError, Picture, Task
from hrnet_plugins.data.files import Tree, names_of, split_of_path
from hrnet_plugins.data.formats.class_lists import NO_CLASSES, Entry, find_list, parse
from hrnet_plugins.data.pictures import in_threads

TASK: Task = 'segmentation'
LOOKED_FOR = 'label maps: images/ and masks/, img_dir/ and ann_dir/, train/ and trainannot/, ...'
IGNORED = 255
MAX_CLASSES = 250
"""More distinct values are no classes, but a picture."""
_LABEL_WORDS = (
    r'ann(_dir|ots?|otations?)?|gt(_?fine)?|ground_?truths?|label(s|maps?|_?maps?)?|masks?|seg(s|mentations?|_?maps?)?'
    r'|segmentationclass(png|raw)?|semantic'
)
_LABEL_FOLDER = re.compile(
    rf'({_LABEL_WORDS})|(train(ing)?|val(id(ation)?)?|test(ing)?)[_-]?({_LABEL_WORDS})|(\w*[_-])?(masks|labels|annots?)'
)
_LABEL_ENDINGS = ('', '_mask', '_masks', '_label', '_labels', '_L', '_seg', '_gt', '_segmentation', '-mask')
_BINARY: tuple[list[Any], ...] = ([0, 255], [(0, 0, 0), (255, 255, 255)])
"""Values of which the first is the background and the second the object."""
_LOSSY = ('.jpg', '.jpeg')


def find(tree: Tree, names: list[Entry] | None = None, ignored: list[int] | None = None) -> Content | None:
    """The content, without the values, if there are pairs of pictures and label maps.

    Args:
        tree: The files.
        names: The classes, where they are not to be looked for.
        ignored: Values that are no class.
    """
    splits, used = _listed(tree) or _paired(tree)
    if not splits:
        return None
    if len(splits) > 1 and ALL in splits:
        splits = {ALL: [picture for pictures in splits.values() for picture in pictures]}
    source = find_list(tree)
    entries = names if names is not None else parse(source) if source is not None else None
    info = dict(entries=entries, ignored=ignored, source=source, folders=used)
    return Content('masks', TASK, tree.root, splits, '; '.join(dict.fromkeys(w for w in used.values())), info=info)


def _paired(tree: Tree) -> tuple[dict[str, list[Picture]], dict[Path, str]]:
    """Pictures by set, each folder of them paired with the one that has most of its label maps."""
    label_folders = [folder for folder in tree.pictures if _is_label_folder(folder, tree.root)]
    splits: dict[str, list[Picture]] = {}
    used: dict[Path, str] = {}
    for folder in tree.pictures:
        if folder in label_folders:
            continue
        split = split_of_path(folder, tree.root)
        candidates = [f for f in [folder, *label_folders] if split_of_path(f, tree.root) in (split, None)]
        scored = [(_pairs(tree, folder, labels), labels) for labels in candidates]
        pairs, labels = max(scored, key=lambda pair: (len(pair[0]), _shared(folder, pair[1])), default=({}, folder))
        if not pairs or not _is_map(next(iter(pairs.values()))):
            continue
        taken = set(pairs.values())
        stems = tree.stems(folder)
        splits.setdefault(split or ALL, []).extend(
            Picture(path, pairs.get(stem), path.stem) for stem, path in stems.items() if path not in taken
        )
        used[folder] = f'{tree.relative(folder)}/ with {tree.relative(labels)}/'
    return splits, used


def _listed(tree: Tree) -> tuple[dict[str, list[Picture]], dict[Path, str]] | None:
    """PASCAL VOC's layout: lists of the sets in ``ImageSets/Segmentation``."""
    lists = [folder for folder in tree.files if folder.parts[-2:] == ('ImageSets', 'Segmentation')]
    if len(lists) != 1:
        return None
    base = lists[0].parents[1]
    pictures, labels = tree.stems(base / 'JPEGImages'), tree.stems(base / 'SegmentationClass')
    if not pictures or not labels:
        return None
    splits = {}
    for split in SPLITS:
        path = lists[0] / f'{split}.txt'
        if path.is_file():
            names = [name.split()[0] for name in names_of(path)]
            missing = base / 'JPEGImages'
            splits[split] = [Picture(pictures.get(n, missing / f'{n}.jpg'), labels.get(n), n) for n in names]
    return splits, {base: f'{tree.relative(base / "JPEGImages")}/ with {tree.relative(base / "SegmentationClass")}/'}


def _is_label_folder(folder: Path, root: Path) -> bool:
    return any(_LABEL_FOLDER.fullmatch(part.lower()) for part in folder.relative_to(root).parts)


def _pairs(tree: Tree, folder: Path, labels: Path) -> dict[str, Path]:
    """The label map of each picture of a folder, by the picture's stem."""
    available = tree.stems(labels)
    pairs = {}
    for stem in tree.stems(folder):
        bare = stem.removesuffix('_leftImg8bit')  # Cityscapes
        endings = [f'{bare}{e}' for e in (*_LABEL_ENDINGS, '_gtFine_labelTrainIds', '_gtFine_labelIds')]
        others = [name for name in endings if labels != folder or name != stem]
        found = next((available[name] for name in others if name in available), None)
        if found is not None:
            pairs[stem] = found
    return pairs


def _is_map(path: Path) -> bool:
    """Whether a file looks like a label map: few colours, or grey where the format has changed them."""
    try:
        with Image.open(path) as image:
            if path.suffix.lower() in _LOSSY:
                return image.mode == 'L'
            return image.mode == 'P' or len(image.convert('RGB').getcolors(1 << 24) or ()) <= MAX_CLASSES
    except Exception:  # of Pillow's many decoders; the file is looked at again when all are read
        return True


def _shared(a: Path, b: Path) -> int:
    return len(os.path.commonpath([a, b]))


def read(content: Content) -> None:
    """Fill in the values of the label maps, the classes and their values."""
    _fill_values(content)
    labelled = [picture for picture in content.pictures() if not picture.dropped]
    colours = {isinstance(value, tuple) for picture in labelled for value in picture.pixels}
    if len(colours) > 1:
        raise DataError(
            f'some label maps of {content.root} hold values and some colours: convert them to one of the two'
        )
    coloured = colours == {True}
    entries: list[Entry] | None = content.info['entries']
    counts: Counter[Any] = Counter()
    for picture in labelled:
        counts.update(picture.pixels)
    if len(counts) > MAX_CLASSES:
        first = labelled[0].labels
        raise DataError(
            f'the label maps hold {len(counts)} distinct {"colours" if coloured else "values"}, which cannot all be '
            f'classes: is {first} a label map, and was it saved without loss?'
        )
    if entries is None or (coloured and all(entry.colour is None for entry in entries)):
        if coloured and entries is not None:
            raise DataError(
                f'the label maps are coloured, and the classes ({", ".join(e.name for e in entries[:5])}, ...) have no '
                'colours: give --classes a file with lines such as `sky,128,128,128`'
            )
        _name_by_value(content, counts)
    else:
        _name_by_list(content, entries, coloured)
    for picture in labelled:
        unknown = sorted(picture.pixels.keys() - {*content.label_values, *content.ignored})
        if unknown and picture.labels is not None:
            known = ', '.join(map(str, content.label_values[:12])) + (', ...' if len(content.label_values) > 12 else '')
            detail = f'{", ".join(map(str, unknown[:5]))} in {sum(picture.pixels[v] for v in unknown)} pixels'
            content.add('unknown-value', picture.labels, detail=f'{detail}; the classes are {known}')
            picture.dropped = True


def _fill_values(content: Content) -> None:
    for picture in content.pictures():
        if picture.labels is None:
            content.add('no-labels', picture.path)
            picture.dropped = True
        elif picture.labels.suffix.lower() in _LOSSY:
            content.add('lossy-labels', picture.labels)
            picture.dropped = True
    todo = [picture for picture in content.pictures() if not picture.dropped]
    maps = [picture.labels for picture in todo if picture.labels is not None]
    for picture, found in zip(todo, in_threads(map_values, maps, what='Reading label maps')):
        assert picture.labels is not None
        if isinstance(found, str):
            content.add('unreadable-labels', picture.labels, detail=found)
            picture.dropped = True
            continue
        picture.stated, picture.pixels = found
        header = picture.header
        if not header.error and picture.stated not in (header.size, header.upright):
            sizes = [f'{width}x{height}' for width, height in (picture.stated, header.upright)]
            content.add('size-differs', picture.labels, detail=f'{sizes[0]}, and its picture {sizes[1]}')
            picture.dropped = True


def map_values(path: Path) -> tuple[tuple[int, int], Counter[Any]] | str:
    """The size of a label map and its pixels by value, a number or a colour (R, G, B), or why it cannot be read."""
    try:
        with Image.open(path) as image:
            array = np.asarray(image)
    except Exception as error:  # of Pillow's many decoders
        return f'{type(error).__name__}: {error}'.splitlines()[0]
    size = (array.shape[1], array.shape[0])
    if array.ndim == 2:
        values, counts = np.unique(array, return_counts=True)
        return size, Counter(dict(zip(map(int, values), counts.tolist())))
    if array.shape[2] < 3:
        return f'it has {array.shape[2]} channels: a label map has one value or one colour a pixel'
    codes = array[..., 0].astype(np.int32) << 16 | array[..., 1].astype(np.int32) << 8 | array[..., 2]
    values, counts = np.unique(codes, return_counts=True)
    return size, Counter({(c >> 16, c >> 8 & 255, c & 255): n for c, n in zip(values.tolist(), counts.tolist())})


def _name_by_value(content: Content, counts: Counter[Any]) -> None:
    """Classes without a list: one a value, by its number."""
    asked = content.info['ignored']
    values = sorted(counts)
    if asked is not None:
        content.ignored = list(asked)
    elif IGNORED in values and values not in _BINARY:
        content.ignored = [IGNORED]
    content.label_values = [value for value in values if value not in content.ignored]
    if values in _BINARY and asked is None:
        content.classes = ['background', 'object']
    else:
        content.classes = ['class ' + '-'.join(map(str, np.atleast_1d(value))) for value in content.label_values]
    content.add('unnamed-classes', content.root, detail=', '.join(content.classes[:4]) + ', ...')


def _name_by_list(content: Content, entries: list[Entry], coloured: bool) -> None:
    asked = content.info['ignored']
    content.ignored = list(asked) if asked is not None else [] if coloured else [IGNORED]
    for i, entry in enumerate(entries):
        value = entry.colour if coloured else entry.value if entry.value is not None else i
        if value is None:
            raise DataError(f'{entry.name} has no colour in the list of classes, and the label maps are coloured')
        if value in content.label_values:
            raise DataError(f'{value} is the value of two classes of the list, {entry.name} is the second')
        if (asked is not None and value in asked) or (asked is None and entry.name.lower() in NO_CLASSES):
            content.ignored.append(value)
        else:
            content.ignored = [other for other in content.ignored if other != value]
            content.classes.append(entry.name)
            content.label_values.append(value)
    content.ignored = list(dict.fromkeys(content.ignored))
