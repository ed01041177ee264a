"""Object regions, and what each pixel sees of them.

Shape legend: B batch, C channels, K classes, h x w size of the finest map, N = h * w pixels of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugins.models.conv_norm import ConvModule, runs_alone
from hrnet_plugins.models.feats import conv_norm_of_concat


def gather_regions(pixels: Tensor, logits: Tensor) -> Tensor:
    """The mean of the pixels of each region, weighted by how much they belong to it (equation 2).

    Args:
        pixels: (B, C, h, w).
        logits: A segmentation (B, K, h, w); its softmax over the pixels is the weight.

    Returns:
        (B, C, K, 1).
    """
    weights = logits.flatten(2).softmax(dim=2)  # (B, K, N)
    return (pixels.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)  # (B, C, K, 1)


class ObjectAttention(nn.Module):
    """Each pixel's view of the object regions, and its fusion with the pixel's own features.

    Source: Yuan et al. (arXiv:1909.11065), section 3.2, equations 3 and 4.

    Args:
        channels: Of pixels and regions.
        key_channels: Of the space in which they are compared.
        cfg: ``conv_cfg``, ``norm_cfg``, ``act_cfg`` and ``efficient_conv_bn_eval`` of our ``ConvModule``.
    """

    def __init__(self, channels: int, key_channels: int, **cfg: Any) -> None:
        super().__init__()
        self.channels = channels
        # In the order in which mmseg makes them, so that its optimizer states fit as well.
        self.key_project = self._project(channels, key_channels, **cfg)
        self.query_project = self._project(channels, key_channels, **cfg)
        self.value_project = ConvModule(channels, key_channels, 1, **cfg)
        self.out_project = ConvModule(key_channels, channels, 1, **cfg)
        self.bottleneck = ConvModule(2 * channels, channels, 1, **cfg)
        self.scale = key_channels**-0.5

    @staticmethod
    def _project(channels: int, key_channels: int, **cfg: Any) -> nn.Sequential:
        first = ConvModule(channels, key_channels, 1, **cfg)
        return nn.Sequential(first, ConvModule(key_channels, key_channels, 1, **cfg))

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """Pixels (B, C, h, w) and regions (B, C, K, 1) -> augmented pixels (B, C, h, w)."""
        layer = self.bottleneck
        context = self.out_project(self._attend(pixels, regions))
        if not runs_alone(layer):
            return layer(torch.cat([context, pixels], dim=1))
        efficient = layer.efficient_conv_bn_eval
        channels = (self.channels, self.channels)
        x = conv_norm_of_concat(
            layer.conv, layer.norm, [context, pixels], channels, align_corners=False, efficient=efficient
        )
        return layer.activate(x)

    def _attend(self, pixels: Tensor, regions: Tensor) -> Tensor:
        query = self.query_project(pixels).flatten(2)  # (B, key, N)
        key = self.key_project(regions).flatten(2).transpose(1, 2) * self.scale  # (B, K, key)
        value = self.value_project(regions).flatten(2)  # (B, key, K)
        # Classes before pixels all the way: the result is a feature map without a copy, and of the (K, N)
        # arrays backward needs the softmax alone.
        share = (key @ query).softmax(dim=1)  # (B, K, N)
        return (value @ share).unflatten(2, pixels.shape[2:])  # (B, key, h, w)
