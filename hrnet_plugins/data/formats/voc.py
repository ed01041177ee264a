"""PASCAL VOC: an XML file a picture, lists of the splits in ``ImageSets/Main``, in folders a split, or none."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # as mmdet reads them; Python's expat bounds what entities expand to
from pathlib import Path
from typing import Any

from hrnet_plugins.data.boxes import box_fault
from hrnet_plugins.data.content import ALL, SPLITS, Box, Content, DataError, Picture, Task
from hrnet_plugins.data.files import READ, Tree, is_file, lines_of, split_of_path

TASK: Task = 'detection'
LOOKED_FOR = 'PASCAL VOC: *.xml with <annotation>, beside the pictures or in Annotations/'
_PICTURE_FOLDERS = ('JPEGImages', 'images', 'Images', 'imgs', 'img', '')


def find(tree: Tree) -> Content | None:
    """The content, without the objects, if there are annotation files."""
    folders: dict[Path, list[Path]] = {}
    for path in tree.named('.xml'):
        folders.setdefault(path.parent, []).append(path)
    folders = {folder: paths for folder, paths in folders.items() if any(map(_is_annotation, paths[:5]))}
    if not folders:
        return None
    lists = _lists(tree, folders)
    if lists is not None:
        return lists
    splits: dict[str, list[Picture]] = {}
    native: dict[str, Any] = {}
    used: list[Path] = []
    places: list[tuple[Path, Path]] = []
    for folder, paths in sorted(folders.items()):
        split = split_of_path(folder, tree.root) or ALL
        if split in splits:
            raise DataError(
                f'two folders hold VOC annotations of one set ({split}): {tree.relative(used[-1])} and '
                f'{tree.relative(folder)}; name one of them with --data'
            )
        pictures = _picture_folder(tree, folder, paths)
        stems = tree.stems(pictures)
        splits[split] = [Picture(stems.get(p.stem, pictures / f'{p.stem}.jpg'), p, p.stem) for p in paths]
        native[split] = dict(img_subdir=tree.relative(pictures), ann_subdir=tree.relative(folder), ann_file=None)
        used.append(folder)
        places.append((pictures, folder))
    if len(splits) > 1 and ALL in splits:
        raise DataError(
            f'{tree.relative(used[0])} and {tree.relative(used[-1])} hold VOC annotations, and not all of them '
            'belong to a set by their names (train, val, test): name one of them with --data'
        )
    where = ', '.join(f'{tree.relative(folder)}/*.xml' for folder in used)
    return Content('voc', TASK, tree.root, splits, where, native=native, info=dict(places=places))


def _lists(tree: Tree, folders: dict[Path, list[Path]]) -> Content | None:
    """The content by the lists of ``ImageSets/Main``, if there are some."""
    mains = [folder for folder in tree.files if folder.parts[-2:] == ('ImageSets', 'Main')]
    bases = [main.parents[1] for main in mains if main.parents[1] / 'Annotations' in folders]
    if not bases:
        return None
    if len(bases) > 1:
        raise DataError(
            f'{" and ".join(map(tree.relative, bases))} are both in the layout of PASCAL VOC: name one with --data'
        )
    base = bases[0]
    annotations, main = base / 'Annotations', base / 'ImageSets' / 'Main'
    listed = {split: main / f'{split}.txt' for split in SPLITS if (main / f'{split}.txt').is_file()}
    if 'train' not in listed and (main / 'trainval.txt').is_file():
        listed = {'train': main / 'trainval.txt', **listed}
    if 'train' not in listed:
        return None
    pictures = _picture_folder(tree, annotations, folders[annotations])
    stems = tree.stems(pictures)
    splits: dict[str, list[Picture]] = {}
    native: dict[str, Any] = {}
    for split, path in listed.items():
        lines = lines_of(path)
        names = [line.split()[0] for line in lines if line.strip()]
        splits[split] = [
            Picture(stems.get(name, pictures / f'{name}.jpg'), annotations / f'{name}.xml', name) for name in names
        ]
        native[split] = dict(
            img_subdir=tree.relative(pictures),
            ann_subdir=tree.relative(annotations),
            # mmdet takes a line as it is: one with more than a name in it needs a list of ours.
            ann_file=path if names == lines else None,
        )
    where = (
        f'{tree.relative(annotations)}/*.xml, {tree.relative(main)}/{{{",".join(p.stem for p in listed.values())}}}.txt'
    )
    return Content('voc', TASK, tree.root, splits, where, native=native, info=dict(places=[(pictures, annotations)]))


def read(content: Content) -> None:
    """Fill in the objects and the classes, sorted by name."""
    for split, pictures in content.splits.items():
        for picture in pictures:
            read_picture(content, picture)
        if any(p.path.suffix != '.jpg' and not p.header.error for p in pictures):
            content.native[split] = {}  # mmdet's dataset looks for .jpg alone
    content.classes = sorted({box.label for picture in content.pictures() for box in picture.boxes})
    seen = {(picture.path.parent, picture.path.stem) for picture in content.pictures()}
    for folder, labels in content.info['places']:
        labelled = {path.stem for path in labels.glob('*.xml')}
        for other in sorted(folder.iterdir()):
            if other.suffix.lower() in READ and (folder, other.stem) not in seen:
                content.add('unlisted' if other.stem in labelled else 'no-labels', other)


def _is_annotation(path: Path) -> bool:
    try:
        with path.open('rb') as file:
            return b'<annotation' in file.read(4096)
    except OSError:
        return False


def _picture_folder(tree: Tree, annotations: Path, paths: list[Path]) -> Path:
    """The folder that holds most of the pictures that the annotations are of."""
    near = [annotations, *(annotations.parent / name for name in _PICTURE_FOLDERS)]
    wanted = {path.stem for path in paths}
    candidates = [folder for folder in dict.fromkeys([*near, *tree.pictures]) if folder in tree.pictures]
    if not candidates:
        raise DataError(f'{tree.root} holds VOC annotations in {tree.relative(annotations)}/ and no picture')
    return max(candidates, key=lambda folder: len(wanted & tree.stems(folder).keys()))


def read_picture(content: Content, picture: Picture) -> None:
    """Fill in the objects of one picture and the size that its file states.

    Args:
        content: Takes the problems.
        picture: The picture; its ``labels`` is the XML file.
    """
    path = picture.labels
    assert path is not None
    if not is_file(path):
        content.add('no-labels', picture.path, detail=f'{path.name} is not there')
        picture.dropped = True
        return
    try:
        root = ET.parse(path).getroot()  # noqa: S314, see above
    except (ET.ParseError, ValueError, LookupError, OSError) as error:  # ValueError: GB2312 and other such encodings
        content.add('unreadable-labels', path, detail=str(error))
        picture.dropped = True
        return
    size = root.find('size')
    if size is not None:
        width, height = (_number(size.findtext(name)) for name in ('width', 'height'))
        if width is None or height is None or width % 1 or height % 1:
            content.add('odd-field', path, 'size', 'width and height are not whole numbers')
            _not_native(content)
        else:
            picture.stated = (int(width), int(height))
    for number, node in enumerate(root.findall('object'), start=1):
        _read_object(content, picture, node, f'object {number}')


def _read_object(content: Content, picture: Picture, node: ET.Element, place: str) -> None:
    path = picture.labels
    assert path is not None
    name = node.findtext('name')
    box = node.find('bndbox')
    if not name or not name.strip() or box is None:
        content.add('malformed', path, place, 'it has no name' if box is not None else 'it has no bndbox')
        return
    if name != name.strip():
        _not_native(content)
    texts = [box.findtext(side) for side in ('xmin', 'ymin', 'xmax', 'ymax')]
    corners = [_number(text) for text in texts]
    fault = box_fault(corners)
    if fault in ('malformed', 'nan-box'):
        content.add(fault, path, place, f'its box is {texts}')
        return
    difficult = node.findtext('difficult')
    if difficult not in (None, '0', '1'):
        content.add('odd-field', path, place, f'difficult is {difficult!r}')
        _not_native(content)
    # VOC counts pixels from 1 and mmdet takes 1 off every corner; ours are as mmdet's dataset gives them.
    left, top, right, bottom = (float(int(corner) - 1) for corner in corners if corner is not None)
    picture.boxes.append(Box(name.strip(), (left, top, right, bottom), place, crowd=difficult == '1'))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None


def _not_native(content: Content) -> None:
    content.native = {split: {} for split in content.splits}
