"""3x3 convolutions with a quarter of the multiplications, in float32 on CPUs.

Winograd's F(4x4, 3x3) (Lavin and Gray, arXiv:1509.09308): a tile of 4x4 output pixels takes 36 products for each pair
of channels instead of 144.

Shape legend: B batch, C input channels, O output channels, h x w map size, n tiles in a band: b images with r rows of t
tiles each.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_plugins.inference.fused.conv_bn import FusedConv
from hrnet_plugins.inference.fused.onednn import PackedWeightCache, supports_packed_weights
from hrnet_plugins.processor import has_only_avx2

TILE = 4
POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))
"""Interpolation points besides infinity. The rounding error is a quarter of that with the usual 0, 1, -1, 2, -2:
1.7e-6 against 6.8e-6 of the greatest output, for 256 channels of normal noise. A direct convolution rounds as much."""
BAND_BYTES = 8 << 20
"""Transformed pixels that are worked on at once: large enough for fast products, small enough for the cache."""
MIN_CHANNELS = 96
"""With fewer channels the transforms cost more time than the products save."""
MIN_CHANNELS_AVX2 = 40
"""The same without AVX512: a product takes twice as long there, and a transform hardly longer."""
MIN_TILES = 16
"""With fewer tiles the transforms cost more time than the products save."""


class WinogradConv(FusedConv):
    """A 3x3 convolution with stride 1 and padding 1.

    Args:
        weight: (O, C, 3, 3).
        bias: (O,), or ``None``.
        conv: The convolution.
    """

    bias: Tensor
    input_transform: Tensor
    output_transform: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> None:
        super().__init__(weight, weight.new_zeros(len(weight)) if bias is None else bias, conv)
        _, pixels, outputs = _TRANSFORMS
        self.register_buffer('input_transform', torch.kron(pixels, pixels).to(weight.dtype))  # (36, 36)
        self.register_buffer('output_transform', torch.kron(outputs, outputs).to(weight.dtype))  # (16, 36)
        self.packed = PackedWeightCache((0, 0), (1, 1), (1, 1), 36)  # a 1x1 convolution, one group for each point

    def _transformed_weight(self) -> Tensor:
        """Weight of that convolution (36 O, C, 1, 1). Packed it takes four times the memory of the 3x3 weight."""
        kernel = _TRANSFORMS[0].to(self.weight.dtype)
        return torch.einsum('ai,ocij,bj->aboc', kernel, self.weight, kernel).flatten(0, 2)[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, O, h, w)."""
        batch, channels, height, width = x.shape
        out_channels = len(self.weight)
        down, across = -(-height // TILE), -(-width // TILE)  # tiles
        if batch * down * across < MIN_TILES:
            return super().forward(x)
        more = across * TILE - width, down * TILE - height
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1 + more[0], 1, 1 + more[1]))
        out = x.new_empty(batch, down, TILE, across, TILE, out_channels)
        rows = max(1, BAND_BYTES // (36 * across * max(channels, out_channels) * x.element_size()))
        images = max(1, rows // down)
        for first in range(0, batch, images):
            for top in range(0, down, rows):
                band = padded[first : first + images, top * TILE : min(top + rows, down) * TILE + 2]
                tiles = band.unfold(1, 6, TILE).unfold(2, 6, TILE).permute(0, 1, 2, 4, 5, 3)  # (b, r, t, 6, 6, C)
                pixels = self._pixels(tiles.reshape(-1, 36, channels))
                pixels = pixels.view(len(band), -1, across, TILE, TILE, out_channels).transpose(2, 3)
                torch.add(pixels, self.bias, out=out[first : first + images, top : top + rows])
        whole = out.view(batch, down * TILE, across * TILE, out_channels).permute(0, 3, 1, 2)
        return whole[:, :, :height, :width].contiguous(memory_format=torch.channels_last)

    def _pixels(self, tiles: Tensor) -> Tensor:
        """(n, 36, C) -> (n, 16, O)."""
        points = torch.bmm(self.input_transform.expand(len(tiles), -1, -1), tiles)  # (n, 36, C)
        maps = points.view(1, 1, len(tiles), -1).permute(0, 3, 1, 2)  # (1, 36 C, 1, n)
        products = self.packed.run(maps, self._transformed_weight, None)
        products = products.permute(0, 2, 3, 1).reshape(len(tiles), 36, -1)
        return torch.bmm(self.output_transform.expand(len(tiles), -1, -1), products)


def is_profitable(weight: Tensor, conv: nn.Conv2d) -> bool:
    """True when ``WinogradConv`` can compute a convolution with this weight, and is faster than a direct one."""
    return (
        supports_packed_weights(weight)
        and weight.dtype == torch.float32
        and weight.shape[2:] == (3, 3)
        and min(weight.shape[:2]) >= (MIN_CHANNELS_AVX2 if has_only_avx2() else MIN_CHANNELS)
        and (conv.stride, conv.padding, conv.dilation, conv.groups) == ((1, 1), (1, 1), (1, 1), 1)
    )


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """1-D transforms: of the kernel (6, 3), of the pixels (6, 6), and of the products back to outputs (4, 6)."""
    points = np.array(POINTS)
    kernel, pixels, outputs = np.zeros((6, 3)), np.zeros((6, 6)), np.zeros((4, 6))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        kernel[i] = point ** np.arange(3) / np.prod(point - others)
        pixels[i, :5] = np.poly(others)[::-1]
        outputs[:, i] = point ** np.arange(4)
    kernel[5, 2] = outputs[3, 5] = 1  # at infinity
    pixels[5] = np.poly(points)[::-1]
    return torch.from_numpy(kernel), torch.from_numpy(pixels), torch.from_numpy(outputs)


_TRANSFORMS = _transforms()
