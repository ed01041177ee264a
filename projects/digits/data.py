"""Scenes of real handwritten digits, for detection, instance and semantic segmentation, and classification.

The digits are the 1,797 images of scikit-learn's ``load_digits`` (8x8 pixels, from the UCI optical digits
set); the backgrounds are crops of its two sample photographs. Digits and halves of the photographs are split
between train and val, so no digit and no background pixel is in both.

    python -m projects.digits.data [FOLDER]        # data/digits by default

FOLDER then holds::

    train/ val/                    scenes, 160x160 RGB PNG
    annotations/train.json ...     COCO boxes and polygons; category id i + 1 is digit i
    semantic/train/ ...            label maps, PNG: 0 background, i + 1 digit i
    semantic/classes.txt           the names of their values, from 0 on
    classification/train/0/ ...    one 64x64 picture a digit, in a folder a class
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits, load_sample_images

from hrnet_plugins.live_line import LiveLine

SIZE = 160
SCENES = {'train': 600, 'val': 100}
VAL_DIGITS = 360
DIGITS_PER_SCENE = (2, 6)
DIGIT_SIDE = (28, 64)
DIMMED = 0.5
"""Brightness of the backgrounds, so that every digit is legible on every one of them."""
INK_COLOUR = (160, 255)
"""Each channel of a digit's colour is drawn from this range."""
INK = 0.35
"""Opacity from which a pixel belongs to a digit's mask."""


@dataclass
class Split:
    """Digits (N, 8, 8) in 0..1 with labels (N,), and photographs (H, W, 3) RGB, of one split."""

    name: str
    digits: np.ndarray
    labels: np.ndarray
    photos: list[np.ndarray]
    rng: np.random.Generator


@dataclass
class Scene:
    """An image (SIZE, SIZE, 3) RGB, its label map (SIZE, SIZE), and COCO annotations without ids."""

    image: np.ndarray
    semantic: np.ndarray
    annotations: list[dict[str, Any]] = field(default_factory=list)


def splits(seed: int = 0) -> list[Split]:
    """The train and val material; no digit and no photograph pixel is in both."""
    rng = np.random.default_rng(seed)
    source = load_digits()
    order = rng.permutation(len(source.images))
    digits, labels = source.images[order] / 16.0, source.target[order]
    photos = load_sample_images().images
    cut = [photo.shape[1] * 3 // 4 for photo in photos]
    train = Split('train', digits[VAL_DIGITS:], labels[VAL_DIGITS:], [p[:, :c] for p, c in zip(photos, cut)], rng)
    val = Split('val', digits[:VAL_DIGITS], labels[:VAL_DIGITS], [p[:, c:] for p, c in zip(photos, cut)], rng)
    return [train, val]


def make_scene(split: Split) -> Scene:
    """Draw a background crop and put digits of random size, colour and place on it, apart from each other."""
    rng = split.rng
    scene = Scene(_background(split), np.zeros((SIZE, SIZE), np.uint8))
    taken: list[tuple[int, int, int]] = []
    for _ in range(rng.integers(DIGITS_PER_SCENE[0], DIGITS_PER_SCENE[1] + 1)):
        side = int(rng.integers(DIGIT_SIDE[0], DIGIT_SIDE[1] + 1))
        place = _free_place(taken, side, rng)
        if place is not None:
            taken.append((*place, side))
            _draw(scene, split, place, side)
    return scene


def _background(split: Split) -> np.ndarray:
    rng = split.rng
    photo = split.photos[rng.integers(len(split.photos))]
    height, width = photo.shape[:2]
    side = int(rng.integers(100, min(height, width) + 1))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    crop = cv2.resize(photo[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return ((crop[:, ::-1] if rng.random() < 0.5 else crop) * DIMMED).astype(np.uint8)


def _free_place(taken: list[tuple[int, int, int]], side: int, rng: np.random.Generator) -> tuple[int, int] | None:
    for _ in range(30):
        x, y = (int(v) for v in rng.integers(0, SIZE - side + 1, 2))
        if all(x + side <= a or a + s <= x or y + side <= b or b + s <= y for a, b, s in taken):
            return x, y
    return None


def _draw(scene: Scene, split: Split, place: tuple[int, int], side: int) -> None:
    rng = split.rng
    index = rng.integers(len(split.digits))
    label = int(split.labels[index])
    ink = np.clip(cv2.resize(split.digits[index], (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
    x, y = place
    patch = scene.image[y : y + side, x : x + side].astype(np.float64)
    colour = rng.uniform(*INK_COLOUR, 3)
    blended = patch * (1 - ink[..., None]) + colour * ink[..., None]
    scene.image[y : y + side, x : x + side] = blended.round().astype(np.uint8)

    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y : y + side, x : x + side] = ink >= INK
    scene.semantic[mask > 0] = label + 1
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = [c.reshape(-1).tolist() for c in contours if len(c) >= 3]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    scene.annotations.append(
        dict(
            category_id=label + 1,
            bbox=[left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
            area=int(mask.sum()),
            segmentation=polygons,
            iscrowd=0,
        )
    )


def build(folder: Path, *, line: LiveLine | None = None) -> Path:
    """Make the dataset in ``folder``, whole or not at all; a folder that is there is left as it is.

    Args:
        folder: Where it goes.
        line: Where the number of pictures that are done is shown; standard output by default.
    """
    if folder.exists():
        return folder
    part = folder.with_name(folder.name + '.part')
    shutil.rmtree(part, ignore_errors=True)
    line = line or LiveLine()
    material = splits()
    total = sum(SCENES.values()) + sum(len(s.digits) for s in material)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        line.show(lambda: f'building the digits  {done}/{total} pictures')

    for split in material:
        coco: dict[str, Any] = dict(
            images=[], annotations=[], categories=[dict(id=i + 1, name=str(i)) for i in range(10)]
        )
        for number in range(SCENES[split.name]):
            scene = make_scene(split)
            name = f'{number:06d}.png'
            _write(part / split.name / name, scene.image)
            _write(part / 'semantic' / split.name / name, scene.semantic)
            coco['images'].append(dict(id=number, file_name=name, width=SIZE, height=SIZE))
            for annotation in scene.annotations:
                coco['annotations'].append(dict(id=len(coco['annotations']) + 1, image_id=number, **annotation))
            advance()
        for number, (digit, label) in enumerate(zip(split.digits, split.labels)):
            picture = np.clip(cv2.resize(digit, (64, 64), interpolation=cv2.INTER_CUBIC) * 255, 0, 255)
            _write(part / 'classification' / split.name / str(label) / f'{number:04d}.png', picture.astype(np.uint8))
            advance()
        annotations = part / 'annotations' / f'{split.name}.json'
        annotations.parent.mkdir(exist_ok=True)
        annotations.write_text(json.dumps(coco))
    (part / 'semantic' / 'classes.txt').write_text('\n'.join(['background', *map(str, range(10))]) + '\n')
    line.clear()
    part.rename(folder)
    return folder


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)


if __name__ == '__main__':
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else 'data/digits')))
