"""Soft-NMS, which torchvision lacks: https://arxiv.org/abs/1704.04503."""

from __future__ import annotations

import numpy as np
from torch import Tensor, from_numpy

from hrnet_plugins.mmcv_ops.dtypes import computing_dtype

_NAIVE, _LINEAR, _GAUSSIAN = range(3)
_X1, _Y1, _X2, _Y2, _SCORE, _AREA = range(6)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lower the scores of boxes that overlap better ones, on the CPU, where mmcv runs it.

    Of equal scores the first wins, in the order that mmcv's extension keeps: the best box changes places with the
    first that is left, and the place of a dropped box goes to the last that is left.

    Args:
        boxes: (N, 4), as x1, y1, x2, y2.
        scores: (N,).
        dets: (N, 5); the kept boxes with their new scores are written into its first rows.
        iou_threshold: Where naive and linear begin to lower.
        sigma: Of the Gaussian.
        min_score: Boxes whose score falls below are dropped.
        method: 0 naive: to zero; 1 linear: by ``1 - iou``; 2 Gaussian: by ``exp(-iou**2 / sigma)``.
        offset: What is added to widths and heights.

    Returns:
        Indices of the kept boxes, int64, as they were taken.
    """
    count = len(boxes)
    index = np.arange(count)
    rows = np.empty((6, count), np.float64 if boxes.dtype.itemsize == 8 else np.float32)
    number = rows.dtype.type
    rows[:4] = boxes.detach().to(computing_dtype(boxes)).numpy().T
    rows[_SCORE] = scores.detach().to(computing_dtype(scores)).numpy()
    rows[_AREA] = (rows[_X2] - rows[_X1] + number(offset)) * (rows[_Y2] - rows[_Y1] + number(offset))
    first = 0
    with np.errstate(invalid='ignore', divide='ignore', under='ignore'):  # boxes without area overlap by NaN
        while first < count:
            best = first + _argmax(rows[_SCORE, first:count])
            rows[:, [first, best]] = rows[:, [best, first]]
            index[[first, best]] = index[[best, first]]
            left = rows[:, first + 1 : count]
            iou = _overlaps(rows[:, first], left, number(offset))
            if method == _GAUSSIAN:
                left[_SCORE] *= np.exp(-(iou * iou) / number(sigma))
            else:
                factor = number(0) if method == _NAIVE else number(1) - iou
                left[_SCORE] *= np.where(iou >= number(iou_threshold), factor, number(1))
            first += 1
            count = first + _drop(left, index[first:count], left[_SCORE] < number(min_score))
    dets[:count].copy_(from_numpy(rows[:_AREA, :count].T))
    return from_numpy(index[:count].copy())


def _argmax(scores: np.ndarray) -> int:
    """The first of the greatest, as a loop of comparisons finds it: NaN wins in the first place and nowhere else."""
    best = int(scores.argmax(0))
    if best and np.isnan(scores[best]):
        return int(np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf).argmax(0))
    return best


def _overlaps(box: np.ndarray, others: np.ndarray, offset: np.floating) -> np.ndarray:
    """Intersection over union of one box, (6,), with others, (6, N)."""
    width = np.minimum(box[_X2], others[_X2]) - np.maximum(box[_X1], others[_X1]) + offset
    height = np.minimum(box[_Y2], others[_Y2]) - np.maximum(box[_Y1], others[_Y1]) + offset
    common = np.maximum(width, 0, out=width) * np.maximum(height, 0, out=height)
    return common / (box[_AREA] + others[_AREA] - common)


def _drop(rows: np.ndarray, index: np.ndarray, dropped: np.ndarray) -> int:
    """Fill the places of the dropped with the last ones that are left, in place; how many are left."""
    if not dropped.any():
        return len(dropped)
    count = len(dropped) - int(dropped.sum())
    holes = np.flatnonzero(dropped[:count])
    movers = count + np.flatnonzero(~dropped[count:])[::-1]
    rows[:, holes], index[holes] = rows[:, movers], index[movers]
    return count
