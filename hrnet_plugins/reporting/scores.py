"""How good predictions are: by class, by picture, and what is taken for what."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hrnet_plugins.prediction.drawing import SCORE

IOU = 0.5
"""Overlap from which a box is taken for an object's."""
_IGNORED = 255


@dataclass
class Table:
    """Scores by class.

    Args:
        columns: What is scored.
        rows: By class, a number a column; ``nan`` where the class is not there.
        shares: Which columns are shares of 1, and shown per cent.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]] = field(default_factory=dict)
    shares: tuple[str, ...] = ()


class Judge(Protocol):
    """Collects the scores of one task."""

    confusion: np.ndarray
    """How often (row) was taken for (column); of a detector the last of both is the background."""

    def add(self, sample: Any) -> float:
        """Take a data sample with labels and predictions; how good the picture is, from 0 to 1."""

    def summary(self) -> dict[str, float]:
        """Scores of all, as shares of 1."""

    def table(self) -> Table:
        """Scores by class."""


def judge_for(task: str, names: Sequence[str]) -> Judge:
    """What collects the scores of a task of the frameworks: of ``mmdet``, ``mmseg`` or ``mmpretrain``."""
    judges: dict[str, type[Any]] = {'mmdet': Boxes, 'mmseg': Pixels, 'mmpretrain': Classes}
    return judges[task](names)


class Pixels:
    """Segmentation: the classes of pixels; those without one are left out."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.confusion = np.zeros((len(names), len(names)), np.int64)

    def add(self, sample: Any) -> float:
        """See ``Judge``: the mean IoU of the classes that are in the picture or predicted there."""
        true = np.asarray(sample.gt_sem_seg.data[0]).ravel()
        found = np.asarray(sample.pred_sem_seg.data[0]).ravel()
        count = len(self.names)
        labelled = (true != _IGNORED) & (true < count)
        pairs = true[labelled].astype(np.int64) * count + found[labelled]
        own = np.bincount(pairs, minlength=count * count).reshape(count, count)
        self.confusion += own
        union = own.sum(0) + own.sum(1) - own.diagonal()
        there = union > 0
        return float((own.diagonal()[there] / union[there]).mean()) if there.any() else 1.0

    def summary(self) -> dict[str, float]:
        """See ``Judge``."""
        iou, accuracy, _ = self._by_class()
        right = self.confusion.trace() / max(1, self.confusion.sum())
        return {'mean IoU': _mean(iou), 'mean accuracy': _mean(accuracy), 'accuracy of all pixels': float(right)}

    def table(self) -> Table:
        """See ``Judge``."""
        columns = ('IoU', 'accuracy', 'share of pixels')
        return Table(columns, _rows(self.names, *self._by_class()), shares=columns)

    def _by_class(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        right, true, found = self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)
        return _divided(right, true + found - right), _divided(right, true), true / max(1, true.sum())


class Classes:
    """Classification."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.confusion = np.zeros((len(names), len(names)), np.int64)

    def add(self, sample: Any) -> float:
        """See ``Judge``: the score of the true class."""
        true = int(sample.gt_label[0])
        self.confusion[true, int(sample.pred_label[0])] += 1
        return float(sample.pred_score[true])

    def summary(self) -> dict[str, float]:
        """See ``Judge``."""
        precision, recall, f1 = self._by_class()
        right = self.confusion.trace() / max(1, self.confusion.sum())
        return {
            'top-1 accuracy': float(right),
            'mean precision': _mean(precision),
            'mean recall': _mean(recall),
            'mean F1': _mean(f1),
        }

    def table(self) -> Table:
        """See ``Judge``."""
        columns = ('precision', 'recall', 'F1', 'pictures')
        return Table(columns, _rows(self.names, *self._by_class(), self.confusion.sum(1)), shares=columns[:3])

    def _by_class(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        right, true, found = self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)
        return _divided(right, found), _divided(right, true), _divided(2 * right, true + found)


class Boxes:
    """Detection: COCO's average precision, of masks where there are some, and matches of boxes that overlap by half.

    A match for the confusion matrix has an overlap of ``IOU`` and a score of ``SCORE`` at least, whatever its class.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.confusion = np.zeros((len(names) + 1, len(names) + 1), np.int64)
        self._images: list[dict[str, Any]] = []
        self._true: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._precision: dict[str, np.ndarray] = {}
        self._recall: np.ndarray | None = None
        self._masks = False

    def add(self, sample: Any) -> float:
        """See ``Judge``: F1 of the objects whose box and class are found."""
        self._precision = {}
        number = len(self._images) + 1
        height, width = sample.ori_shape[:2]
        self._images.append(dict(id=number, width=int(width), height=int(height)))
        self._masks |= 'masks' in sample.pred_instances
        for crowd, part in ((0, sample.gt_instances), (1, sample.get('ignored_instances'))):
            if part is not None and len(part):
                self._true += _coco_truth(part, number, len(self._true), (int(height), int(width)), crowd=crowd)
        self._found += _coco_found(sample.pred_instances, number)
        return self._match(sample)

    def _match(self, sample: Any) -> float:
        background = len(self.names)
        found = sample.pred_instances[sample.pred_instances.scores >= SCORE]
        true_boxes, found_boxes = _boxes(sample.gt_instances), _boxes(found)
        true, labels = np.asarray(sample.gt_instances.labels), np.asarray(found.labels)
        overlap = _overlaps(true_boxes, found_boxes)
        # Of equal overlaps the pair of one class first.
        order = overlap + 1e-6 * (true[:, None] == labels[None, :]) if overlap.size else overlap
        matched: dict[int, int] = {}
        for flat in np.argsort(-order, axis=None, kind='stable'):
            i, j = divmod(int(flat), len(labels))
            if overlap[i, j] < IOU:
                break
            if i not in matched and j not in matched.values():
                matched[i] = j
        right = 0
        for i, label in enumerate(true):
            self.confusion[label, labels[matched[i]] if i in matched else background] += 1
            right += i in matched and bool(labels[matched[i]] == label)
        for j in set(range(len(labels))) - set(matched.values()):
            self.confusion[background, labels[j]] += 1
        count = len(true) + len(labels)
        return 2 * right / count if count else 1.0

    def summary(self) -> dict[str, float]:
        """See ``Judge``."""
        self._evaluate()
        found: dict[str, float] = {}
        for kind, precision in self._precision.items():
            called = {'bbox': 'box', 'segm': 'mask'}[kind]
            found[f'{called} mAP'] = _mean(_average(precision))
            found[f'{called} AP50'] = _mean(_average(precision[:1]))
        return found

    def table(self) -> Table:
        """See ``Judge``."""
        self._evaluate()
        precision = self._precision['bbox']
        columns, values = ['AP', 'AP50', 'recall at IoU 0.5'], [_average(precision), _average(precision[:1])]
        assert self._recall is not None
        values.append(self._recall)
        if 'segm' in self._precision:
            columns.append('mask AP')
            values.append(_average(self._precision['segm']))
        objects = np.bincount([row['category_id'] - 1 for row in self._true if not row['iscrowd']],
                              minlength=len(self.names))  # fmt: skip
        shares = tuple(columns)
        return Table((*columns, 'objects'), _rows(self.names, *values, objects), shares=shares)

    def _evaluate(self) -> None:
        """COCO's precision by kind: (overlaps, recalls, classes), -1 where there is no object."""
        if self._precision:
            return
        from pycocotools.coco import COCO  # noqa: PLC0415, mmdet brings it
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            categories = [dict(id=i, name=name) for i, name in enumerate(self.names, start=1)]
            truth.dataset = dict(images=self._images, annotations=self._true, categories=categories, info={})
            truth.createIndex()
            for kind in ('bbox', 'segm') if self._masks else ('bbox',):
                if not self._found:
                    self._precision[kind] = np.zeros((10, 101, len(self.names)))
                    self._recall = np.zeros(len(self.names))
                    continue
                rows = [dict(row) for row in self._found]
                if kind == 'bbox':  # loadRes would take the areas of masks
                    rows = [{key: value for key, value in row.items() if key != 'segmentation'} for row in rows]
                run = COCOeval(truth, truth.loadRes(rows), kind)
                run.evaluate()
                run.accumulate()
                self._precision[kind] = run.eval['precision'][:, :, :, 0, -1]
                if kind == 'bbox':
                    recall = run.eval['recall'][0, :, 0, -1]
                    self._recall = np.where(recall < 0, np.nan, recall)


def _boxes(objects: Any) -> np.ndarray:
    return np.asarray(getattr(objects.bboxes, 'tensor', objects.bboxes), np.float64).reshape(-1, 4)


def _overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) and (M, 4): (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    union = areas[0][:, None] + areas[1][None, :] - inside
    return np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)


def _coco_truth(objects: Any, image: int, done: int, size: tuple[int, int], *, crowd: int) -> list[dict[str, Any]]:
    from pycocotools import mask as coco  # noqa: PLC0415

    rows = []
    masks = objects.masks.to_ndarray() if 'masks' in objects else None
    for i, (left, top, right, bottom) in enumerate(_boxes(objects)):
        row: dict[str, Any] = dict(
            id=done + i + 1, image_id=image, category_id=int(objects.labels[i]) + 1, iscrowd=crowd,
            bbox=[left, top, right - left, bottom - top], area=(right - left) * (bottom - top),
        )  # fmt: skip
        if masks is not None and masks[i].shape == size:
            row['segmentation'] = coco.encode(np.asfortranarray(masks[i].astype(np.uint8)))
            row['area'] = float(masks[i].sum())
        rows.append(row)
    return rows


def _coco_found(objects: Any, image: int) -> list[dict[str, Any]]:
    from pycocotools import mask as coco  # noqa: PLC0415

    rows = []
    masks = np.asarray(objects.masks) if 'masks' in objects else None
    for i, (left, top, right, bottom) in enumerate(_boxes(objects)):
        row: dict[str, Any] = dict(
            image_id=image, category_id=int(objects.labels[i]) + 1, score=float(objects.scores[i]),
            bbox=[left, top, right - left, bottom - top],
        )  # fmt: skip
        if masks is not None:
            row['segmentation'] = coco.encode(np.asfortranarray(masks[i].astype(np.uint8)))
        rows.append(row)
    return rows


def _average(precision: np.ndarray) -> np.ndarray:
    """Average precision by class (K,) of (overlaps, recalls, K); nan for classes without an object."""
    there = precision[0, 0] > -1
    return np.where(there, precision.mean((0, 1)), np.nan)


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')


def _rows(names: Sequence[str], *columns: np.ndarray) -> dict[str, tuple[float, ...]]:
    return {name: tuple(float(column[i]) for column in columns) for i, name in enumerate(names)}
