"""Non-maximum suppression, and the groups of boxes that it makes."""

from __future__ import annotations

import numpy as np
import torch
import torchvision  # noqa: F401, it registers its operators
from torch import Tensor

from hrnet_plugins.mmcv_ops.dtypes import computing_dtype

_nms = torch.ops.torchvision.nms.default

_BLOCK = 256
"""Boxes that are compared with each other at once; 128 and 512 are slower on a CPU."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Keep each box that no better kept box overlaps by more than a threshold.

    Args:
        boxes: (N, 4), as x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: A box goes if its overlap is greater.
        offset: What is added to ``x2 - x1`` and ``y2 - y1``: 1 where coordinates are inclusive pixels.

    Returns:
        Indices of the kept boxes, int64, best first.
    """
    if not boxes.shape[0]:
        return boxes.new_empty(0, dtype=torch.long)
    if not boxes.dtype == scores.dtype == torch.float32 or boxes.requires_grad or scores.requires_grad:
        boxes, scores = (each.detach().to(computing_dtype(boxes)) for each in (boxes, scores))
    iou_threshold = _threshold(iou_threshold, boxes.dtype)
    # Sorted as mmcv sorts, so that the first of equal scores is the same one; what is sorted already stays so.
    scores, order = scores.sort(descending=True)
    boxes = boxes.index_select(0, order)
    if offset == 0:
        return order.index_select(0, _nms(boxes, scores, iou_threshold))
    return order[_kept(boxes, iou_threshold, offset)]


def _threshold(iou_threshold: float, dtype: torch.dtype) -> float:
    """The threshold, rounded as the overlaps are that are compared with it.

    torchvision compares overlaps in float32 with a threshold in float64, under which an overlap of 0.3 is above 0.3.
    """
    return iou_threshold if dtype == torch.float64 else float(np.float32(iou_threshold))


def _kept(boxes: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Which of the boxes, best first, are kept: (N,) of bool.

    torchvision knows no offset, and one added to ``x2`` and ``y2`` would round where mmcv does not.
    """
    kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for start in range(0, len(boxes), _BLOCK):
        stop = start + _BLOCK
        block, candidates = boxes[start:stop], kept[start:stop].clone()
        removes = (overlaps(block, block, offset=offset) > iou_threshold).triu(1)  # (B, B), better ones in rows
        while True:  # once for each link of the longest chain of boxes that remove each other
            found = candidates & ~(removes & kept[start:stop, None]).any(0)
            if torch.equal(found, kept[start:stop]):
                break
            kept[start:stop] = found
        later = overlaps(block[found], boxes[stop:], offset=offset) > iou_threshold
        kept[stop:] &= ~later.any(0)
    return kept


def overlaps(boxes1: Tensor, boxes2: Tensor, *, offset: int = 0, over_first: bool = False) -> Tensor:
    """Intersection over union of each box with each other; with ``over_first``, over the area of the first box.

    Rounds as mmcv's extension does. Boxes without area give NaN, which is above no threshold.

    Args:
        boxes1: (..., M, 4).
        boxes2: (..., N, 4).
        offset: What is added to widths and heights.
        over_first: Divide by the area of the first box alone.

    Returns:
        (..., M, N).
    """
    left1, top1, right1, bottom1 = boxes1.unsqueeze(-2).unbind(-1)  # (..., M, 1) each
    left2, top2, right2, bottom2 = boxes2.unsqueeze(-3).unbind(-1)  # (..., 1, N) each
    width = (torch.minimum(right1, right2) - torch.maximum(left1, left2) + offset).clamp_(min=0)
    height = (torch.minimum(bottom1, bottom2) - torch.maximum(top1, top2) + offset).clamp_(min=0)
    common = width * height
    area1 = (right1 - left1 + offset) * (bottom1 - top1 + offset)
    if over_first:
        return common / area1
    area2 = (right2 - left2 + offset) * (bottom2 - top2 + offset)
    return common / (area1 + area2 - common)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group boxes by the better box that suppresses them.

    Args:
        dets: (N, 5), as x1, y1, x2, y2, score.
        iou_threshold: A box joins a group if its overlap with the best of it is at least this.

    Returns:
        For each kept box, best first: its index and those of the boxes that it suppresses, best first.
    """
    if len(dets) == 0:
        return []
    dets = dets.detach().cpu()
    dets = dets.to(computing_dtype(dets))
    iou_threshold = _threshold(iou_threshold, dets.dtype)
    left = dets[:, 4].sort(descending=True).indices
    groups = []
    while len(left):
        best, others = left[:1], left[1:]
        joins = overlaps(dets[best, :4], dets[others, :4])[0] >= iou_threshold
        groups.append([int(best), *others[joins].tolist()])
        left = others[~joins]
    return groups


def bbox_overlaps(
    boxes1: Tensor, boxes2: Tensor, ious: Tensor, mode: int, aligned: bool = False, offset: int = 0
) -> None:
    """Write the overlaps of boxes into ``ious``.

    Args:
        boxes1: (M, 4).
        boxes2: (N, 4); M is N if ``aligned``.
        ious: (M, N), or (M,) if ``aligned``.
        mode: 0 is intersection over union, 1 over the area of the first box.
        aligned: Each box with that of the same index only.
        offset: What is added to widths and heights.
    """
    pairs = (boxes1[:, None], boxes2[:, None]) if aligned else (boxes1, boxes2)
    ious.copy_(overlaps(*pairs, offset=offset, over_first=mode == 1).view_as(ious))
