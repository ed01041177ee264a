"""Sets to train with and to choose by, where a folder has none."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from hrnet_plugins.data.content import ALL, SPLITS, Content, DataError, Picture

VAL_SHARE = 0.2


def complete(content: Content, *, seed: int = 0, val_share: float = VAL_SHARE) -> None:
    """Give data a training and a validation set, from what there is.

    A set that is there stays. Without one to validate on, a share of the training pictures becomes it, drawn by
    ``seed`` so that every class keeps its share.

    Raises:
        DataError: If there is no training set, or it is too small to be split.
    """
    splits = content.splits
    if ALL in splits:
        splits['train'] = splits.pop(ALL)
        if ALL in content.native:
            content.native['train'] = content.native.pop(ALL)
    if 'train' not in splits:
        raise DataError(
            f'{content.root} has {" and ".join(splits)} and no train: name a folder that holds the training set too'
        )
    content.splits = splits = {split: splits[split] for split in SPLITS if split in splits}
    if 'val' in splits:
        return
    pictures = splits['train']
    if len(pictures) < 2:
        raise DataError(f'{content.root} has {len(pictures)} picture to train with: a training and a validation set '
                        'need two at least')  # fmt: skip
    chosen = _draw(pictures, round(len(pictures) * val_share) or 1, seed)
    content.splits = {
        'train': [p for p in pictures if id(p) not in chosen],
        'val': [p for p in pictures if id(p) in chosen],
        **{name: rest for name, rest in splits.items() if name != 'train'},
    }
    native = content.native.get('train') or {}
    # A VOC list can be written anew; what is a file or folder a set cannot be divided.
    native = {**native, 'ann_file': None} if native and content.format == 'voc' else {}
    content.native = {**content.native, 'train': native, 'val': dict(native)}
    content.made_split = True


def _draw(pictures: list[Picture], count: int, seed: int) -> set[int]:
    """The ids of ``count`` pictures, drawn so that each group, by the rarest class a picture has, gives its share."""
    labels = {id(picture): _labels(picture) for picture in pictures}
    frequency = Counter(label for found in labels.values() for label in found)
    groups: dict[str, list[Picture]] = defaultdict(list)
    for picture in sorted(pictures, key=lambda picture: picture.path):
        rarest = min(labels[id(picture)], key=lambda label: (frequency[label], label), default='')
        groups[rarest].append(picture)
    rng = random.Random(seed)  # noqa: S311, nothing is secret here
    order: list[tuple[float, int]] = []
    for name in sorted(groups):
        members = groups[name]
        rng.shuffle(members)
        # Evenly spaced places in 0..1: taking the first `count` of all takes the same share of each group.
        order += [((i + 0.5) / len(members), id(picture)) for i, picture in enumerate(members)]
    return {key for _, key in sorted(order, key=lambda pair: pair[0])[:count]}


def _labels(picture: Picture) -> set[str]:
    return {box.label for box in picture.boxes} or {str(value) for value in picture.pixels} or {picture.label}
