"""Pictures of one class in a folder of its name, the folders perhaps in one a set."""

from __future__ import annotations

from pathlib import Path

from hrnet_plugins.data.content import ALL, Content, Picture, Task
from hrnet_plugins.data.files import Tree, split_of

TASK: Task = 'classification'
LOOKED_FOR = 'classes: a folder of pictures each, perhaps in train/ and val/'


def find(tree: Tree) -> Content | None:
    """The content, if two or more folders of pictures stand beside each other."""
    base = _base(tree)
    children = _children(tree, base)
    sets = {split: child for child in children if (split := split_of(child.name)) is not None}
    if 'train' in sets and all(len(_children(tree, child)) > 1 for child in (sets['train'],)):
        groups = sets
    elif len(children) > 1 and len(sets) < len(children):
        groups = {ALL: base}
    else:
        return None
    splits = {
        split: [
            Picture(path, name=path.relative_to(folder).as_posix(), label=child.name)
            for child in _children(tree, folder)
            for path in tree.below(child)
        ]
        for split, folder in groups.items()
    }
    where = ', '.join(f'{tree.relative(folder)}/CLASS/' for folder in groups.values())
    loose = [folder / name for folder in groups.values() for name in tree.pictures.get(folder, ())]
    return Content('folders', TASK, tree.root, splits, where, info=dict(groups=groups, loose=loose))


def read(content: Content) -> None:
    """Fill in the classes, sorted by name as mmpretrain has them, and what its dataset can find by itself."""
    content.classes = sorted({picture.label for picture in content.pictures()})
    for path in content.info['loose']:
        content.add('no-labels', path)
    for split, folder in content.info['groups'].items():
        labels = sorted({picture.label for picture in content.splits[split]})
        plain = all(p.path.suffix.lower() in _BY_ITSELF for p in content.splits[split])
        # mmpretrain numbers the folders it finds: each set must have all of them, and no other.
        every = sorted(child.name for child in folder.iterdir() if child.is_dir())
        fits = split != ALL and labels == content.classes == every and plain
        content.native[split] = dict(folder=folder) if fits else {}


_BY_ITSELF = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')
"""Suffixes that mmpretrain's ``CustomDataset`` lists."""


def _base(tree: Tree) -> Path:
    """The uppermost folder that has more than one folder of pictures, or pictures."""
    folder = tree.root
    while len(_children(tree, folder)) == 1 and folder not in tree.pictures:
        folder = _children(tree, folder)[0]
    return folder


def _children(tree: Tree, folder: Path) -> list[Path]:
    """The folders right below that hold pictures, at any depth."""
    depth = len(folder.parts)
    inside = {Path(*f.parts[: depth + 1]) for f in tree.pictures if folder in f.parents}
    return sorted(inside)
