"""Data transforms that mmcv and mmseg lack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mmcv
import mmengine.fileio
import numpy as np
from mmcv.transforms import BaseTransform

from hrnet_plugins.registry import TRANSFORMS
from hrnet_plugins.seg.datasets import IGNORED, UNKNOWN


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read the label file of an image and turn its values into labels, checking every one of them.

    Needs ``seg_map_path`` and ``encoding``, which the datasets of this package provide, and adds ``gt_seg_map``
    (H, W) in uint8. Without ``seg_map_path``, as in a test set without labels and in mmseg's inferencers, which take
    only its own ``LoadAnnotations`` out of a pipeline, it adds nothing.

    Args:
        backend_args: Of mmengine's file backend.
    """

    def __init__(self, *, backend_args: dict[str, Any] | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the labels, if there are any.

        Raises:
            ValueError: Naming the file and the value, if it holds a value that is no label, has colours instead of
                values, or another size than its image.
        """
        path = results.get('seg_map_path')
        if path is None:
            return results
        content = mmengine.fileio.get(path, backend_args=self.backend_args)
        values = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
        table = results['encoding'] if 'encoding' in results else _unchecked(results)
        coloured = table.ndim == 2
        if values is None or values.ndim != 2 + coloured:
            shape = None if values is None else values.shape
            wanted = 'one colour' if coloured else 'one value'
            raise ValueError(
                f'{path} has shape {shape}: a label file of this dataset holds {wanted} a pixel, '
                f'{"not values" if coloured else "not colours"}'
            )
        if 'ori_shape' in results and values.shape[:2] != tuple(results['ori_shape'][:2]):
            raise ValueError(
                f'{path} is {values.shape[:2]} pixels, its image {results["ori_shape"][:2]}: they must agree'
            )
        labels = _from_colours(values, table) if coloured else _from_values(values, table)
        wrong = labels == UNKNOWN
        if wrong.any():
            found = np.unique(values[wrong], axis=0)[:5].tolist()
            known = f'{len(table)} colours' if coloured else _ranges(np.flatnonzero(table != UNKNOWN))
            shown = ', '.join(str(tuple(value[2::-1]) if coloured else value) for value in found)
            raise ValueError(
                f'{path} holds the value {shown}, which is no label of this dataset '
                f'(labels are {known}): is it the right folder, converted as the dataset needs?'
            )
        results['gt_seg_map'] = labels.astype(np.uint8)
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results


def _from_values(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Values (H, W) -> labels (H, W)."""
    labels = np.full(values.shape, UNKNOWN, table.dtype)
    inside = (values >= 0) & (values < len(table))
    labels[inside] = table[values[inside].astype(np.intp)]
    return labels


def _from_colours(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3 or 4), in the order BGR, -> labels (H, W)."""
    blue, green, red = (values[..., i].astype(np.int32) for i in range(3))
    codes = red << 16 | green << 8 | blue
    places = np.searchsorted(table[:, 0], codes).clip(max=len(table) - 1)
    return np.where(table[places, 0] == codes, table[places, 1], UNKNOWN)


def _unchecked(results: dict[str, Any]) -> np.ndarray:
    """The labels of all values (256,), by what mmseg's own datasets say of them."""
    labels: np.ndarray = np.arange(256, dtype=np.int16)
    if results.get('reduce_zero_label'):
        labels[:] = [IGNORED, *range(254), IGNORED]
    chosen = labels.copy()
    for old, new in (results.get('label_map') or {}).items():
        chosen[labels == old] = new
    return chosen


def _ranges(values: np.ndarray) -> str:
    """Sorted numbers as ``0 to 33, 255``."""
    runs = np.split(values, np.flatnonzero(np.diff(values) > 1) + 1)
    return ', '.join(str(run[0]) if len(run) == 1 else f'{run[0]} to {run[-1]}' for run in runs)


@TRANSFORMS.register_module()
class PadToMultiple(BaseTransform):
    """Pad the image below and to the right to a multiple of ``divisor`` pixels, before a test.

    ``PackSegInputs`` must list ``img_padding_size`` in its ``meta_keys``: mmseg's segmentors read it.

    Args:
        divisor: Both sides become multiples of it.
        value: Of the added pixels, in the image's own channel order.
        scored: Leave the padding in the scores, which are then resized with it to the original size, as the
            official code tests on ADE20K; otherwise it is cropped before.
    """

    def __init__(self, *, divisor: int, value: Sequence[int], scored: bool = False) -> None:
        if divisor < 1:
            raise ValueError(f'`divisor` ({divisor}) must be at least 1 pixel')
        self.divisor = divisor
        self.value = tuple(value)
        self.scored = scored

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad ``img``; set ``img_shape``, ``pad_shape`` and ``img_padding_size`` (left, right, top, bottom)."""
        height, width = results['img'].shape[:2]
        image = mmcv.impad_to_multiple(results['img'], self.divisor, pad_val=self.value)
        results['img'] = image
        results['img_shape'] = results['pad_shape'] = image.shape[:2]
        added = (0, image.shape[1] - width, 0, image.shape[0] - height)
        results['img_padding_size'] = (0, 0, 0, 0) if self.scored else added
        return results
