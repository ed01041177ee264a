"""What mmcv's operators are compared on, as calls of an extension module: ours or the compiled one.

``tests/reference/mmcv_ops.npz`` holds what the compiled extension of onedl-mmcv 2.3.6 gave. It is written anew, where
mmcv is compiled, by

    python tests/mmcv_ops/cases.py
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from hrnet_plugins.mmcv_ops import extension

REFERENCE = Path(__file__).resolve().parents[1] / 'reference' / 'mmcv_ops.npz'
SIZE = (13, 17)
STRIDE = 4
"""Of the maps that regions are taken from, in pixels of an image of 52x68."""


def compiled() -> ModuleType | None:
    """Mmcv's compiled extension, if this environment has one."""
    try:
        module = importlib.import_module('mmcv._ext')
    except ImportError:
        return None
    return module if str(module.__file__).endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)) else None


@contextmanager
def ours() -> Iterator[None]:
    """All of ``mmcv.ops`` with our operators."""
    importlib.import_module('mmcv.ops')
    modules = [
        each for name, each in sys.modules.items() if name.startswith('mmcv.ops.') and hasattr(each, 'ext_module')
    ]
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(mock.patch.object(module, 'ext_module', extension))
        yield


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The same standard normal numbers everywhere, rounded to float32 before they are anything else."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32)).to(dtype)


def boxes(seed: int, count: int, *, step: float = 0.0) -> Tensor:
    """Boxes in and around the image, (count, 4); with a step on a grid, where many are equal or without area."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-20, 60, (count, 2))
    found = np.concatenate([start, start + rng.uniform(0, 40, (count, 2))], 1)
    if step:
        found = np.round(found / step) * step
        found[::5, 2:] = found[::5, :2]
    return torch.from_numpy(found.astype(np.float32))


def scores(seed: int, count: int, *, levels: int = 0) -> Tensor:
    """Scores from 0 to 1, (count,); with levels, of which many are equal."""
    found = np.random.default_rng(seed).uniform(0, 1, count)
    return torch.from_numpy((np.round(found * levels) / levels if levels else found).astype(np.float32))


ROIS = {
    'plain': [[0, 4, 4, 40, 30], [1, 10.3, 2.7, 33.3, 51.9], [0, 0, 0, 68, 52]],
    'maps in any order': [[2, 4, 4, 40, 30], [0, 3, 1, 20, 20], [2, 30, 30, 60, 50], [1, 8, 8, 9, 30]],
    'without area': [[0, 10, 10, 10, 10], [1, 20, 5, 20, 30], [2, 5, 20, 30, 20]],
    'outside': [[0, -60, -60, -20, -20], [1, 80, 60, 120, 90], [2, -30, -10, 100, 90], [0, 66, 50, 70, 54]],
    'small': [[0, 10.2, 10.1, 10.9, 10.3], [1, 0, 0, 0.5, 0.5], [2, 67.5, 51.5, 68, 52]],
    'none': [],
}


def roi_align(
    ops: Any,
    dtype: torch.dtype,
    *,
    rois: str = 'plain',
    size: tuple[int, int] = (7, 7),
    aligned: bool = True,
    sampling_ratio: int = 0,
) -> list[Tensor]:
    """Output and gradient."""
    x = normal(0, 3, 4, *SIZE, dtype=dtype)
    regions = torch.tensor(ROIS[rois], dtype=dtype).view(-1, 5)
    options = dict(
        aligned_height=size[0], aligned_width=size[1], spatial_scale=1 / STRIDE, sampling_ratio=sampling_ratio,
        pool_mode=1, aligned=aligned,
    )  # fmt: skip
    empty = x.new_zeros(0)
    output, gradient = x.new_zeros(len(regions), 4, *size), torch.zeros_like(x)
    ops.roi_align_forward(x, regions, output, empty, empty, **options)
    ops.roi_align_backward(normal(1, *output.shape, dtype=dtype), regions, empty, empty, gradient, **options)
    return [output, gradient]


def nms(
    ops: Any, dtype: torch.dtype, *, count: int = 80, step: float = 0, levels: int = 0, threshold: float, offset: int
) -> list[Tensor]:
    """Indices."""
    return [ops.nms(boxes(2, count, step=step), scores(3, count, levels=levels), threshold, offset)]


def softnms(
    ops: Any,
    dtype: torch.dtype,
    *,
    method: int,
    count: int = 60,
    step: float = 0,
    levels: int = 0,
    offset: int = 0,
    min_score: float = 1e-3,
) -> list[Tensor]:
    """Indices, and boxes with scores."""
    dets = torch.zeros(count, 5)
    kept = ops.softnms(
        boxes(4, count, step=step), scores(5, count, levels=levels), dets,
        iou_threshold=0.3, sigma=0.5, min_score=min_score, method=method, offset=offset,
    )  # fmt: skip
    return [kept, dets[: len(kept)]]


def nms_match(ops: Any, dtype: torch.dtype, *, step: float = 0, levels: int = 0, threshold: float) -> list[Tensor]:
    """All groups, one after the other, each begun by -1."""
    dets = torch.cat([boxes(6, 60, step=step), scores(7, 60, levels=levels)[:, None]], 1)
    return [torch.tensor([i for group in ops.nms_match(dets, threshold) for i in (-1, *group)])]


def bbox_overlaps(ops: Any, dtype: torch.dtype, *, mode: int, aligned: bool, offset: int) -> list[Tensor]:
    """Overlaps."""
    first, second = boxes(8, 12).to(dtype), boxes(9, 12 if aligned else 7).to(dtype)
    found = torch.zeros(12 if aligned else (12, 7), dtype=dtype)  # type: ignore[arg-type]
    ops.bbox_overlaps(first, second, found, mode=mode, aligned=aligned, offset=offset)
    return [found]


def _convolution(
    dtype: torch.dtype,
    groups: int,
    deform_groups: int,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    moved: float,
    whole: bool,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Inputs, an output to write into, and a gradient of it."""
    kernel, padding, size = (3, 2), (1, 2), (9, 8)
    out = [
        (side + 2 * pad - step * (k - 1) - 1) // jump + 1
        for side, pad, step, k, jump in zip(size, padding, dilation, kernel, stride)
    ]
    points = deform_groups * kernel[0] * kernel[1]
    offset = moved * normal(12, 2, 2 * points, *out, dtype=dtype)
    inputs = dict(
        input=normal(10, 2, 4, *size, dtype=dtype),
        weight=normal(11, 6, 4 // groups, *kernel, dtype=dtype),
        offset=offset.round() if whole else offset,
        mask=normal(13, 2, points, *out, dtype=dtype).sigmoid(),
        bias=normal(14, 6, dtype=dtype),
    )
    return inputs, torch.zeros(2, 6, *out, dtype=dtype), normal(15, 2, 6, *out, dtype=dtype)


def deform_conv(
    ops: Any,
    dtype: torch.dtype,
    *,
    groups: int = 1,
    deform_groups: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    moved: float = 2,
    whole: bool = False,
    im2col_step: int = 2,
) -> list[Tensor]:
    """Output, and gradients by input, offset and weight."""
    have, output, grad_output = _convolution(dtype, groups, deform_groups, stride, dilation, moved, whole)
    x, weight, offset = have['input'], have['weight'], have['offset']
    options = dict(
        kW=2, kH=3, dW=stride[1], dH=stride[0], padW=2, padH=1, dilationW=dilation[1], dilationH=dilation[0],
        group=groups, deformable_group=deform_groups, im2col_step=im2col_step,
    )  # fmt: skip
    buffers = x.new_empty(0), x.new_empty(0)
    gradients = [torch.zeros_like(each) for each in (x, offset, weight)]
    ops.deform_conv_forward(x, weight, offset, output, *buffers, **options)
    ops.deform_conv_backward_input(x, offset, grad_output, *gradients[:2], weight, buffers[0], **options)
    ops.deform_conv_backward_parameters(x, offset, grad_output, gradients[2], *buffers, scale=0.5, **options)
    return [output, *gradients]


def modulated_deform_conv(
    ops: Any,
    dtype: torch.dtype,
    *,
    groups: int = 1,
    deform_groups: int = 1,
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    moved: float = 2,
    whole: bool = False,
    with_bias: bool = True,
) -> list[Tensor]:
    """Output, and gradients by input, weight, offset, mask and, if there is one, bias."""
    have, output, grad_output = _convolution(dtype, groups, deform_groups, stride, dilation, moved, whole)
    if not with_bias:
        have['bias'] = have['bias'].new_empty(0)
    options = dict(
        kernel_h=3, kernel_w=2, stride_h=stride[0], stride_w=stride[1], pad_h=1, pad_w=2, dilation_h=dilation[0],
        dilation_w=dilation[1], group=groups, deformable_group=deform_groups, with_bias=with_bias,
    )  # fmt: skip
    x, weight, bias, offset, mask = (have[name] for name in ('input', 'weight', 'bias', 'offset', 'mask'))
    ones, columns = x.new_empty(0), x.new_empty(0)
    grads = {name: torch.zeros_like(each) for name, each in have.items()}
    ops.modulated_deform_conv_forward(x, weight, bias, ones, offset, mask, output, columns, **options)
    ops.modulated_deform_conv_backward(
        x, weight, bias, ones, offset, mask, columns,
        grads['input'], grads['weight'], grads['bias'], grads['offset'], grads['mask'], grad_output, **options,
    )  # fmt: skip
    return [output, *(grads[name] for name in ('input', 'weight', 'offset', 'mask')), *[grads['bias']] * with_bias]


Run = Callable[[Any, torch.dtype], list[Tensor]]

CASES: dict[str, Run] = {
    **{f'roi_align, {rois}': partial(roi_align, rois=rois) for rois in ROIS},
    **{f'roi_align, {rois}, not aligned': partial(roi_align, rois=rois, aligned=False) for rois in ROIS},
    **{
        f'roi_align, {rois}, {ratio} samples, 3x5': partial(roi_align, rois=rois, sampling_ratio=ratio, size=(3, 5))
        for rois in ('plain', 'outside')
        for ratio in (1, 2)
    },
    **{
        f'nms, {name}, {threshold}, offset {offset}': partial(nms, threshold=threshold, offset=offset, **options)
        for name, options in {
            'any': {},
            'on a grid': dict(step=10.0, levels=5),
            'one': dict(count=1),
            'none': dict(count=0),
        }.items()
        for threshold in (0.0, 0.3, 0.5, 0.7, 1.0)
        for offset in (0, 1)
    },
    **{
        f'softnms, {name}, {kind}': partial(softnms, method=method, **options)
        for name, options in {
            'any': {},
            'on a grid': dict(step=10.0, levels=5),
            'offset': dict(step=1.0, offset=1),
            'few left': dict(min_score=0.3),
            'one': dict(count=1),
            'none': dict(count=0),
        }.items()
        for method, kind in enumerate(('naive', 'linear', 'gaussian'))
    },
    **{
        f'nms_match, {name}, {threshold}': partial(nms_match, threshold=threshold, **options)
        for name, options in {'any': {}, 'on a grid': dict(step=10.0, levels=5)}.items()
        for threshold in (0.3, 0.5)
    },
    **{
        f'bbox_overlaps, {mode}, {aligned}, {offset}': partial(bbox_overlaps, mode=mode, aligned=aligned, offset=offset)
        for mode in (0, 1)
        for aligned in (False, True)
        for offset in (0, 1)
    },
    **{
        f'{name}, {about}': partial(run, **options)
        for name, run in {'deform_conv': deform_conv, 'modulated_deform_conv': modulated_deform_conv}.items()
        for about, options in {
            'plain': {},
            'groups': dict(groups=2, deform_groups=2),
            'no offsets': dict(moved=0, deform_groups=2),
            'whole offsets': dict(whole=True),
            'stride and dilation': dict(stride=(2, 1), dilation=(1, 2), deform_groups=4),
        }.items()
    },
    'deform_conv, one by one': partial(deform_conv, im2col_step=1),
    'modulated_deform_conv, no bias': partial(modulated_deform_conv, with_bias=False),
}
"""Each gives what one operator, and its backward, wrote and returned."""
FLOAT_ONLY = ('nms', 'softnms', 'nms_match')
"""mmcv's extension has these for float32 alone."""


def dtypes(name: str) -> list[torch.dtype]:
    """The number types that the compiled operator of a case has and that agree to the last digits."""
    return [torch.float32] if name.split(',', maxsplit=1)[0] in FLOAT_ONLY else [torch.float32, torch.float64]


def has_ties(name: str) -> bool:
    """Whether the order of equal scores decides, which is that of torch's sort, and not the same everywhere."""
    return name.startswith(('nms, on a grid', 'nms_match, on a grid'))


def record() -> None:
    """Write down what the compiled extension gives."""
    ops = compiled()
    if ops is None:
        raise SystemExit('there is no compiled mmcv here')
    arrays = {
        f'{name}/{i}': tensor.numpy()
        for name, run in CASES.items()
        if not has_ties(name)
        for i, tensor in enumerate(run(ops, torch.float32))
    }
    np.savez_compressed(REFERENCE, **arrays)  # type: ignore[arg-type]


if __name__ == '__main__':
    record()
