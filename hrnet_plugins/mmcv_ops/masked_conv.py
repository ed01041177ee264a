"""The two halves of mmcv's masked convolution: to columns at the places of a mask, and back. One image at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Write what the kernel sees at each of M places into ``col``.

    Args:
        im: The map, (1, C, H, W).
        mask_h_idx: Rows of the places, int64, (M,).
        mask_w_idx: Columns of the places, int64, (M,).
        col: (C * kernel_h * kernel_w, M).
        kernel_h: Rows of the kernel.
        kernel_w: Columns of the kernel.
        pad_h: Rows of zeros above and below the map.
        pad_w: Columns of zeros at its left and right.
    """
    # Zeros after the end too, for places of a mask that is larger than the convolution's output.
    padded = functional.pad(im[0], (pad_w, pad_w + kernel_w, pad_h, pad_h + kernel_h))
    rows = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None, None]  # (kernel_h, 1, M)
    columns = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]  # (kernel_w, M)
    col.copy_(padded[:, rows, columns].view_as(col))


@torch.no_grad()
def masked_col2im_forward(
    col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int, channels: int
) -> None:
    """Write the columns, (C, M), to their places in ``im``, (1, C, height, width), and nothing elsewhere."""
    im[0, :, mask_h_idx, mask_w_idx] = col
