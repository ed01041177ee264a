"""Predictions as files hold them: COCO results, label maps, classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hrnet_plugins.prediction.drawing import colours_of, name_of
from hrnet_plugins.prediction.predictor import Prediction


@dataclass
class Numbers:
    """The numbers by which COCO results name pictures and classes.

    Args:
        images: Number of a picture by its file name, as an annotation file has them; other pictures are counted.
        categories: Number of each class, in the order of the classes.
    """

    images: dict[str, int] = field(default_factory=dict)
    categories: list[int] = field(default_factory=list)
    _counted: dict[str, int] = field(default_factory=dict)

    def image(self, key: str, path: Path) -> int:
        """The number of a picture; ``key`` tells pictures and frames apart."""
        known = self.images.get(path.name)
        if known is not None:
            return known
        return self._counted.setdefault(key, len(self._counted) + 1)

    def category(self, label: int) -> int:
        """The number of a class, from 1 on where no file says another."""
        return self.categories[label] if label < len(self.categories) else label + 1


def numbers_for(cfg: Any, names: Sequence[str], paths: Sequence[Path]) -> Numbers:
    """The numbers by which results can be held to the config's own annotation file.

    They are of that file where all these pictures are in it; else pictures and classes are counted from 1.

    Args:
        cfg: The config of the model.
        names: The classes.
        paths: The pictures.
    """
    for use in ('test', 'val', 'train'):
        dataset = (cfg.get(f'{use}_dataloader') or {}).get('dataset') or {}
        if str(dataset.get('type', '')).rpartition('.')[2] != 'CocoDataset':
            continue
        file = Path(dataset.get('data_root') or '') / (dataset.get('ann_file') or '')
        try:
            content = json.loads(file.read_text(encoding='utf-8'))
            images = {Path(row['file_name']).name: int(row['id']) for row in content['images']}
            categories = {str(row['name']): int(row['id']) for row in content['categories']}
        except (OSError, ValueError, KeyError, TypeError):  # not here, as on another machine
            continue
        unique = len(images) == len(content['images'])
        if unique and all(path.name in images for path in paths) and all(name in categories for name in names):
            return Numbers(images, [categories[name] for name in names])
    return Numbers()


def coco_rows(prediction: Prediction, names: Sequence[str], numbers: Numbers) -> list[dict[str, Any]]:
    """The objects of a picture as COCO results: one row an object, the surest first, with box and, if any, outline.

    Beside what COCO asks for a row has the picture's file, the class's name and, of a video, the frame.
    """
    found = prediction.sample.pred_instances
    boxes = np.asarray(getattr(found.bboxes, 'tensor', found.bboxes), np.float64)
    common = dict(image_id=_image(prediction, numbers), **_file(prediction))
    rows = []
    for i in np.argsort(-found.scores.numpy(), kind='stable'):
        left, top, right, bottom = (round(float(v), 2) for v in boxes[i])
        label = int(found.labels[i])
        row = dict(
            common,
            category_id=numbers.category(label),
            category=name_of(names, label),
            bbox=[left, top, round(right - left, 2), round(bottom - top, 2)],
            score=round(float(found.scores[i]), 5),
        )
        if 'masks' in found:
            row['segmentation'] = _encoded(found.masks[i])
        rows.append(row)
    return rows


def class_row(prediction: Prediction, names: Sequence[str]) -> dict[str, Any]:
    """The class of a picture, and the scores of all classes."""
    sample = prediction.sample
    label = int(sample.pred_label[0])
    scores = [round(float(v), 5) for v in sample.pred_score]
    return dict(_file(prediction), label=label, category=name_of(names, label), score=scores[label], scores=scores)


def mask_row(prediction: Prediction, names: Sequence[str], mask: str) -> dict[str, Any]:
    """The file of a label map, and the share of the picture that each class has in it."""
    labels = label_map(prediction)
    values, counts = np.unique(labels, return_counts=True)
    share = {name_of(names, int(v)): round(float(n) / labels.size, 5) for v, n in zip(values, counts)}
    return dict(_file(prediction), mask=mask, share=share)


def label_map(prediction: Prediction) -> np.ndarray:
    """The class of each pixel (H, W), uint8."""
    return np.asarray(prediction.sample.pred_sem_seg.data[0]).astype(np.uint8)


def save_label_map(prediction: Prediction, path: Path, meta: Mapping[str, Any]) -> None:
    """Write the class of each pixel as a PNG: its values are the classes, its palette shows them."""
    picture = Image.fromarray(label_map(prediction)).convert('L')
    paletted = Image.frombytes('P', picture.size, picture.tobytes())
    paletted.putpalette([value for colour in colours_of(meta) for value in colour])
    path.parent.mkdir(parents=True, exist_ok=True)
    paletted.save(path)


def _file(prediction: Prediction) -> dict[str, Any]:
    frame = {} if prediction.frame is None else dict(frame=prediction.frame)
    return dict(file_name=prediction.source.path.as_posix(), **frame)


def _image(prediction: Prediction, numbers: Numbers) -> int:
    key = f'{prediction.source.name}:{prediction.frame}'
    return numbers.image(key, prediction.source.path)


def _encoded(mask: Any) -> dict[str, Any]:
    """A mask (H, W) in COCO's compressed run lengths, as JSON holds them."""
    from pycocotools import mask as coco  # noqa: PLC0415, mmdet brings it, and only detectors have masks

    encoded = coco.encode(np.asfortranarray(np.asarray(mask).astype(np.uint8)))
    return dict(size=[int(v) for v in encoded['size']], counts=encoded['counts'].decode('ascii'))
