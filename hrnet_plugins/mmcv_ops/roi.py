"""RoIAlign, https://arxiv.org/abs/1703.06870, and RoIPool, https://arxiv.org/abs/1504.08083."""

from __future__ import annotations

import torch
import torchvision  # noqa: F401, it registers its operators
from torch import Tensor

from hrnet_plugins.mmcv_ops.dtypes import computing_dtype
from hrnet_plugins.mmcv_ops.missing import missing

_AVERAGE = 1
_CHANNELS = 16
"""Channels whose gradient a CPU computes at once: 256 of 200x336 take 0.99 s so, and 1.18 s all at once."""


@torch.no_grad()
def roi_align_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the average of samples in each bin of each region into ``output``.

    Args:
        input: Maps, (B, C, H, W), in any memory format.
        rois: Regions, (N, 5): index of the map, x1, y1, x2, y2 in pixels of the image.
        output: (N, C, aligned_height, aligned_width).
        argmax_y: Of the mode ``max``; not used.
        argmax_x: Of the mode ``max``; not used.
        aligned_height: Rows of bins.
        aligned_width: Columns of bins.
        spatial_scale: Cells of the map for a pixel of the image.
        sampling_ratio: Samples along each side of a bin; 0 takes as many as it spans cells, rounded up.
        pool_mode: 1, the average. 0, the greatest sample, torchvision does not have.
        aligned: Shift by half a cell, so that cells are points in their middle, and let regions be below one cell.

    Raises:
        NotImplementedError: With ``pool_mode`` 0.
        ValueError: On a CPU, if a region has no map, or with ``aligned`` a negative size.
    """
    _check(rois, len(input), aligned, pool_mode)
    dtype = computing_dtype(input)
    pooled = torch.ops.torchvision.roi_align(
        input.to(dtype), rois.to(dtype), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


@torch.no_grad()
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient by the maps to ``grad_input``, (B, C, H, W); the rest is as in the forward."""
    _check(rois, len(grad_input), aligned, pool_mode)
    dtype = computing_dtype(grad_output)
    rois = rois.to(dtype)
    batch, channels, height, width = grad_input.shape
    step = max(1, _CHANNELS if rois.device.type == 'cpu' else channels)
    for start in range(0, channels, step):
        some = slice(start, start + step)
        gradient = torch.ops.torchvision._roi_align_backward(
            grad_output[:, some].to(dtype),
            rois,
            spatial_scale,
            aligned_height,
            aligned_width,
            batch,
            min(step, channels - start),
            height,
            width,
            sampling_ratio,
            aligned,
        )
        grad_input[:, some].add_(gradient)


def _check(rois: Tensor, maps: int, aligned: bool, pool_mode: int) -> None:
    """Refuse what the operators cannot do, or read beyond their maps for."""
    if pool_mode != _AVERAGE:
        missing("roi_align with pool_mode='max'")()
    if len(rois) == 0 or rois.device.type != 'cpu':  # a GPU would have to be waited for
        return
    first, last = rois[:, 0].aminmax()
    if not (first > -1 and last < maps):
        raise ValueError(f'`rois` name maps {first:g} to {last:g}, and there are {maps}, from 0 on')
    if aligned and not (rois[:, 3:] >= rois[:, 1:3]).all():
        raise ValueError('`rois` must have x2 >= x1 and y2 >= y1: some are of negative size')


@torch.no_grad()
def roi_pool_forward(
    input: Tensor,  # noqa: A002, mmcv's name
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Write the greatest cell of each bin of each region into ``output``.

    mmcv divides a region between its exact borders, where torchvision's operator rounds them first, so this is made
    of other operators.

    Args:
        input: Maps, (B, C, H, W).
        rois: Regions, (N, 5): index of the map, x1, y1, x2, y2 in pixels of the image, the last ones included.
        output: (N, C, pooled_height, pooled_width); 0 where a bin has no cell.
        argmax: Of the same shape, int32: the cell, ``y * W + x``, and -1 where a bin has none.
        pooled_height: Rows of bins.
        pooled_width: Columns of bins.
        spatial_scale: Cells of the map for a pixel of the image.
    """
    height, width = input.shape[2:]
    scaled = rois.to(computing_dtype(rois))
    maps = scaled[:, 0].long().tolist()
    start = scaled[:, 1:3] * spatial_scale  # (N, 2), as x, y
    size = (scaled[:, 3:] + 1) * spatial_scale - start
    for n, index in enumerate(maps):
        columns, no_column = _cells(start[n, 0], size[n, 0], pooled_width, width)
        rows, no_row = _cells(start[n, 1], size[n, 1], pooled_height, height)
        windows = input[index][:, rows[:, :, None, None], columns]  # (C, bins, cells of one, bins, cells of one)
        windows = windows.masked_fill(no_row[:, :, None, None] | no_column, -torch.inf)
        windows = windows.transpose(2, 3).flatten(3)  # (C, bins, bins, cells of one)
        best = windows.argmax(3, keepdim=True)
        found = windows.gather(3, best)[..., 0]
        row, column = best[..., 0] // columns.shape[1], best[..., 0] % columns.shape[1]
        cell = (
            rows[torch.arange(pooled_height, device=rows.device)[:, None], row] * width
            + columns[torch.arange(pooled_width, device=rows.device), column]
        )
        empty = found == -torch.inf
        output[n] = found.masked_fill(empty, 0)
        argmax[n] = cell.masked_fill(empty, -1)


def _cells(start: Tensor, size: Tensor, bins: int, cells: int) -> tuple[Tensor, Tensor]:
    """The cells of each bin along one side, and which of them are none, as a region is not of one size: (bins, n)."""
    edges = torch.arange(bins + 1, device=start.device) * (size / bins) + start
    first = edges[:-1].floor().clamp(0, cells).long()
    last = edges[1:].ceil().clamp(0, cells).long()
    last = torch.where(size > 0, last, first)
    longest = max(1, int((last - first).max()))
    index = first[:, None] + torch.arange(longest, device=start.device)
    return index.clamp(max=cells - 1), index >= last[:, None]


@torch.no_grad()
def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Add the gradient of each bin to that of its greatest cell in ``grad_input``, (B, C, H, W)."""
    channels, cells = grad_input.shape[1], grad_input[0, 0].numel()
    first = (rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)) * cells  # (N, C)
    index = first[..., None, None] + argmax
    taken = argmax >= 0
    grad_input.view(-1).index_add_(0, index[taken], grad_output[taken])
