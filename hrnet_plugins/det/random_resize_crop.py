"""RandomResizeCrop, the detection augmentation of HRNet-Object-Detection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, Literal

import numpy as np
from mmcv.transforms import BaseTransform

from hrnet_plugins.registry import TRANSFORMS

_NOT_MOVED = ('gt_keypoints', 'proposals')
"""Coordinates that mmdet's own transforms leave where they were, too."""


@TRANSFORMS.register_module()
class RandomResizeCrop(BaseTransform):
    """Resize to one of several scales, then crop around an object drawn at random, so that batches share one size.

    The image is resized as mmdet's ``Resize`` does it, keeping its aspect ratio. The crop is upright if the image is
    higher than wide, its centre is that of a ground-truth box plus a jitter, and it is shifted back inside the image;
    without a box that counts, the image's centre takes its place. An image smaller than the crop on one side keeps
    that side. Boxes stay if their centre lies strictly inside the crop, and are clipped to it; empty ones go.

    Reads ``img`` and, where there, ``gt_bboxes``, ``gt_masks``, ``gt_seg_map`` and every other ``gt_*`` list or array
    with one entry a box (labels, ignore flags, ids), all of which follow the crop. Leaves ``scale``, ``scale_factor``
    and ``keep_ratio`` as the resize set them; ``img_shape`` and ``homography_matrix`` tell resize and crop together.

    Source: the augmentation of the same name in HRNet-Object-Detection. Boxes to ignore, masks and semantic maps,
    which it left behind, follow here.

    Args:
        scales: Each the bounds of (long side, short side) in pixels; the image becomes as large as fits.
        crop: (long side, short side) of the crop, in pixels.
        jitter: Rows and columns by which the centre may move: ``j`` draws an integer from ``[-j, j - 1]``, as
            published, where the upper bound of ``numpy.random.randint`` was missed.
        skip_last_scale: Never draw the last scale, which the published recipes did not, for the same reason.
        backend: Library that resizes images. Pillow averages where it shrinks, as published; OpenCV does not.

    Raises:
        ValueError: If an argument is out of range; from ``transform``, if the sample holds coordinates that cannot
            follow or a ``gt_*`` list of another length than the boxes.
    """

    def __init__(
        self,
        scales: Sequence[tuple[int, int]] = ((1400, 600), (1400, 800), (1400, 1000)),
        *,
        crop: tuple[int, int] = (1200, 800),
        jitter: tuple[int, int] = (10, 30),
        skip_last_scale: bool = False,
        backend: Literal['pillow', 'cv2'] = 'pillow',
    ) -> None:
        for name, sides in [*(('scales', scale) for scale in scales), ('crop', crop)]:
            if not isinstance(sides, Sequence) or len(sides) != 2 or not 0 < sides[1] <= sides[0]:
                raise ValueError(f'`{name}` has {sides}: give (long side, short side), in pixels')
        if backend not in ('pillow', 'cv2'):
            raise ValueError(f"`backend` ({backend!r}) must be 'pillow' or 'cv2'")
        if len(jitter) != 2 or min(jitter) < 0 or 2 * max(jitter) + 2 > crop[1]:
            raise ValueError(
                f'`jitter` ({tuple(jitter)}) must be two numbers from 0 to {crop[1] // 2 - 1}: more could move the '
                f'crop off the box that it is drawn around, `crop` being {tuple(crop)}'
            )
        if len(scales) <= skip_last_scale:
            raise ValueError(
                f'`scales` ({list(scales)}) leaves none to draw, `skip_last_scale` being {skip_last_scale}'
            )
        self.scales = [(int(long), int(short)) for long, short in scales]
        self.crop = (int(crop[0]), int(crop[1]))
        self.jitter = (int(jitter[0]), int(jitter[1]))
        self.skip_last_scale = skip_last_scale
        self.backend = backend
        resize = dict(type='mmdet.Resize', keep_ratio=True, backend=backend)
        self._resizes = [TRANSFORMS.build(dict(resize, scale=scale)) for scale in self.scales]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Resize and crop one sample, drawing from numpy's global generator: scale, box, row, column."""
        _check(results)
        drawn = np.random.randint(len(self.scales) - self.skip_last_scale)
        results = self._resizes[drawn].transform(results)
        boxes = results.get('gt_bboxes')
        if boxes is None:
            return _crop(results, self._window(results['img_shape'], None))
        keep = (boxes.areas > 0).numpy()
        centres = boxes.centers.numpy()
        counts = keep & ~np.asarray(results.get('gt_ignore_flags', np.zeros_like(keep)), bool)
        window = self._window(results['img_shape'], centres[counts])
        keep &= ((centres > window[:2]) & (centres < window[2:])).all(axis=1)
        return _crop(_select(results, keep), window)

    def _window(self, img_shape: tuple[int, int], centres: np.ndarray | None) -> np.ndarray:
        """The crop (x1, y1, x2, y2) around one of the centres (N, 2), x before y, or around the image's."""
        height, width = img_shape
        long, short = self.crop
        size = np.minimum((short, long) if height > width else (long, short), (width, height))
        centre = np.array([width, height]) / 2
        if centres is not None and len(centres):
            centre = centres[np.random.randint(len(centres))]
        rows, columns = (np.random.randint(-j, max(j, 1 - j)) for j in self.jitter)
        start = np.rint(centre + np.array([columns, rows]) - size / 2).astype(int)
        start = np.clip(start, 0, np.array([width, height]) - size)
        return np.concatenate([start, start + size])

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({self.scales}, crop={self.crop}, jitter={self.jitter}, '
            f'skip_last_scale={self.skip_last_scale}, backend={self.backend!r})'
        )


def _check(results: dict[str, Any]) -> None:
    if isinstance(results.get('gt_bboxes'), np.ndarray):
        raise ValueError(
            "`gt_bboxes` is an array without a box type: leave `box_type='hbox'` in mmdet's LoadAnnotations"
        )
    for key in _NOT_MOVED:
        if results.get(key) is not None:
            raise ValueError(f'`{key}` cannot follow RandomResizeCrop: remove it before, or use other augmentation')
    for key in _per_instance(results):
        found, boxes = len(results[key]), len(results['gt_bboxes'])
        if found != boxes:
            raise ValueError(f'`{key}` has {found} entries for {boxes} boxes: it needs one a box')


def _per_instance(results: dict[str, Any]) -> list[str]:
    """Names of the lists and arrays with one entry a box."""
    if results.get('gt_bboxes') is None:
        return []
    named = (key for key in results if key.startswith('gt_') and not key.endswith('_map'))
    return [key for key in named if hasattr(results[key], '__len__') and not isinstance(results[key], str | dict)]


def _select(results: dict[str, Any], keep: np.ndarray) -> dict[str, Any]:
    indices = np.flatnonzero(keep)
    for key in _per_instance(results):
        value = results[key]
        results[key] = type(value)(compress(value, keep)) if isinstance(value, list | tuple) else value[indices]
    return results


def _crop(results: dict[str, Any], window: np.ndarray) -> dict[str, Any]:
    """Cut everything to a window (x1, y1, x2, y2), as mmdet's ``RandomCrop`` does."""
    x1, y1, x2, y2 = (int(side) for side in window)
    results['img'] = results['img'][y1:y2, x1:x2]
    results['img_shape'] = results['img'].shape[:2]
    shift = np.array([[1, 0, -x1], [0, 1, -y1], [0, 0, 1]], np.float32)
    results['homography_matrix'] = shift @ results['homography_matrix']
    if results.get('gt_bboxes') is not None:
        results['gt_bboxes'].translate_([-x1, -y1])
        results['gt_bboxes'].clip_(results['img_shape'])
    if results.get('gt_masks') is not None:
        results['gt_masks'] = results['gt_masks'].crop(window)
    if results.get('gt_seg_map') is not None:
        results['gt_seg_map'] = results['gt_seg_map'][y1:y2, x1:x2]
    return results
