"""3x3 convolutions with a quarter of the multiplications, in float32 on CPUs.

Winograd's F(4x4, 3x3) (Lavin and Gray, arXiv:1509.09308): a tile of 4x4 output pixels takes 36 products of each
pair of channels instead of 144.

Shape legend: B batch, C input channels, O output channels, h x w size of the map, r rows of t tiles in a band.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_plugins.inference.fast.fold import FoldedConv

TILE = 4
POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))
"""Where the polynomials are evaluated, infinity aside. Rounding is a quarter of that with the usual 0, 1, -1, 2, -2
(1.7e-6 against 6.8e-6 of the greatest output, for 256 channels of normal noise), and no more than of the plain sum."""
BAND_BYTES = 2 << 20
"""Transformed pixels that are worked on at once, so that they stay in the cache."""
MIN_CHANNELS = 96
"""Below, the transforms cost what the products save."""
MIN_TILES = 16
"""Below, neither."""


class WinogradConv(FoldedConv):
    """A 3x3 convolution with stride and padding 1.

    Args:
        weight: (O, C, 3, 3).
        bias: (O,), or ``None``.
        conv: The convolution.
    """

    bias: Tensor
    into: Tensor
    back: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> None:
        super().__init__(weight, weight.new_zeros(len(weight)) if bias is None else bias, conv)
        _, interpolate, back = _MATRICES
        self.register_buffer('into', torch.kron(interpolate, interpolate).to(weight.dtype))  # (36, 36)
        self.register_buffer('back', torch.kron(back, back).to(weight.dtype))  # (16, 36)

    @cached_property
    def transformed(self) -> Tensor:
        """(36, C, O): made for the first map that is large enough, as it takes four times the weight's memory."""
        evaluate = _MATRICES[0].to(self.weight.dtype)
        return torch.einsum('ai,ocij,bj->abco', evaluate, self.weight, evaluate).flatten(0, 1).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, O, h, w)."""
        batch, _, height, width = x.shape
        down, across = -(-height // TILE), -(-width // TILE)  # tiles
        if batch * down * across < MIN_TILES:
            return super().forward(x)
        out_channels, channels = self.weight.shape[:2]
        more = across * TILE - width, down * TILE - height
        padded = F.pad(
            x.permute(0, 2, 3, 1), (0, 0, 1, 1 + more[0], 1, 1 + more[1])
        )  # (B, 4 down + 2, 4 across + 2, C)
        out = x.new_empty(batch, down, TILE, across, TILE, out_channels)
        rows = max(1, BAND_BYTES // (36 * across * max(channels, out_channels) * x.element_size()))
        for image, result in zip(padded, out):
            for top in range(0, down, rows):
                band = image[top * TILE : min(top + rows, down) * TILE + 2]  # (4 r + 2, 4 t + 2, C)
                tiles = band.unfold(0, 6, TILE).unfold(1, 6, TILE).permute(3, 4, 0, 1, 2)  # (6, 6, r, t, C)
                points = self.into @ tiles.reshape(36, -1)  # (36, r t C)
                products = torch.bmm(points.view(36, -1, channels), self.transformed)  # (36, r t, O)
                pixels = (self.back @ products.flatten(1)).view(TILE, TILE, -1, across, out_channels)
                torch.add(pixels.permute(2, 0, 3, 1, 4), self.bias, out=result[top : top + rows])
        whole = out.view(batch, down * TILE, across * TILE, out_channels).permute(0, 3, 1, 2)
        return whole[:, :, :height, :width].contiguous(memory_format=torch.channels_last)


def pays(weight: Tensor, conv: nn.Conv2d) -> bool:
    """Whether a convolution with these weights is one of those, and large enough in channels to gain."""
    return (
        weight.dtype == torch.float32
        and weight.device.type == 'cpu'
        and weight.shape[2:] == (3, 3)
        and min(weight.shape[:2]) >= MIN_CHANNELS
        and (conv.stride, conv.padding, conv.dilation, conv.groups) == ((1, 1), (1, 1), (1, 1), 1)
    )


def _matrices() -> tuple[Tensor, Tensor, Tensor]:
    """What takes a row of the kernel (6, 3) and of the pixels (6, 6) to the points, and the products back (4, 6)."""
    points = np.array(POINTS)
    kernel, pixels, back = np.zeros((6, 3)), np.zeros((6, 6)), np.zeros((4, 6))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        kernel[i] = point ** np.arange(3) / np.prod(point - others)
        pixels[i, :5] = np.poly(others)[::-1]
        back[:, i] = point ** np.arange(4)
    kernel[5, 2] = back[3, 5] = 1  # at infinity
    pixels[5] = np.poly(points)[::-1]
    return torch.from_numpy(kernel), torch.from_numpy(pixels), torch.from_numpy(back)


_MATRICES = _matrices()
