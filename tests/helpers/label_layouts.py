"""A handful of generated images of each dataset, in the folders, names and label values it is shipped with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

SIZE = (60, 90)
TRAIN, VAL = 4, 2


def _picture(path: Path, rng: np.random.Generator, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), size[::-1]))


def _labels(path: Path, rng: np.random.Generator, size: tuple[int, int], values: Sequence[int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = rng.choice(np.array(values, np.uint8), (6, 9))
    cv2.imwrite(str(path), cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST))


def _pair(image: Path, label: Path, rng: np.random.Generator, values: Sequence[int]) -> None:
    size = SIZE if rng.random() < 0.5 else SIZE[::-1]
    _picture(image, rng, size)
    _labels(label, rng, size, values)


def cityscapes(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (('train', TRAIN), ('val', VAL)):
        for i in range(count):
            name = f'{split}ville/{split}ville_{i:06}_000019'
            stem = root / 'gtFine' / split / name
            _pair(
                root / 'leftImg8bit' / split / f'{name}_leftImg8bit.png',
                Path(f'{stem}_gtFine_labelIds.png'),
                rng,
                [*range(34), 255],
            )
            _picture(Path(f'{stem}_gtFine_color.png'), rng, SIZE)  # shipped, and not read
    for i in range(VAL):
        _picture(root / 'leftImg8bit/test/testville' / f'testville_{i:06}_000019_leftImg8bit.png', rng, SIZE)


def lip(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (('train', TRAIN), ('val', VAL)):
        for i in range(count):
            _pair(
                root / f'TrainVal_images/{split}_images/{i}_{i + 7}.jpg',
                root / f'TrainVal_parsing_annotations/{split}_segmentations/{i}_{i + 7}.png',
                rng,
                range(20),
            )


def pascal_context(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (('train', TRAIN), ('val', VAL)):
        names = [f'2008_{split}{i:04}' for i in range(count)]
        for name in names:
            _pair(root / f'JPEGImages/{name}.jpg', root / f'SegmentationClassContext/{name}.png', rng, range(60))
        lists = root / 'ImageSets/SegmentationContext'
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f'{split}.txt').write_text('\n'.join(names) + '\n')


def cocostuff10k(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (('train2014', TRAIN), ('test2014', VAL)):
        for i in range(count):
            name = f'COCO_train2014_{i:012}'
            labels = root / f'annotations/{split}/{name}_labelTrainIds.png'
            _pair(root / f'images/{split}/{name}.jpg', labels, rng, range(172))


def ade20k(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, short, count in (('training', 'train', TRAIN), ('validation', 'val', VAL)):
        for i in range(1, count + 1):
            name = f'ADE_{short}_{i:08}'
            _pair(root / f'images/{split}/{name}.jpg', root / f'annotations/{split}/{name}.png', rng, range(151))


LAYOUTS = {
    'data/cityscapes/': cityscapes,
    'data/lip/': lip,
    'data/VOCdevkit/VOC2010/': pascal_context,
    'data/coco_stuff10k/': cocostuff10k,
    'data/ade/ADEChallengeData2016/': ade20k,
}
"""What lays out the dataset that a recipe expects in this ``data_root``."""
