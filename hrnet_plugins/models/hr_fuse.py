"""The classification head's fusion. Shape legend: B batch, C channels, h x w size of the coarsest map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch.fx
from mmengine.model import BaseModule
from torch import Tensor, nn

from hrnet_plugins.archs import EXPANSION
from hrnet_plugins.models.conv_norm import ConvModule
from hrnet_plugins.models.feats import check_feats, listed_channels
from hrnet_plugins.models.layers import DEFAULT_INIT, LayerFactory, residual_layer
from hrnet_plugins.models.recompute import WithCP, grain_of, run
from hrnet_plugins.registry import MODELS

torch.fx.wrap('check_feats')


@MODELS.register_module()
class HRFuseScales(BaseModule):
    """All branches of an HRNet as one map at the coarsest stride, for image classification.

    Each branch is widened by a bottleneck block; the finest is then stepped down, and each coarser branch is
    added on the way; a 1x1 convolution widens the sum.

    Source: Wang et al. (TPAMI 2020, arXiv:1908.07919), appendix on ImageNet classification. State dict names
    are those of mmpretrain.

    Args:
        in_channels: Channels of each backbone map, finest first: the backbone's ``out_channels``.
        out_channels: Channels of the result.
        mid_channels: Channels each branch is widened to, finest first; as many are used as there are branches.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config, for every norm; ``None`` means ``dict(type='BN')``.
        plain_bottlenecks: Build the bottleneck blocks without ``conv_cfg`` and ``norm_cfg``, as mmpretrain does.
        with_cp: What the backward pass computes again, as in ``HRNet``; ``'module'`` here means all.
        efficient_conv_bn_eval: Train a convolution and a batch norm with fixed statistics as one convolution.
        init_cfg: mmengine initialisation; ``None`` means Kaiming for convolutions and ones for norms, an empty list
            PyTorch's own.

    Attributes:
        out_channels: Channels of the one map that is returned.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 2048,
        *,
        mid_channels: Sequence[int] = (128, 256, 512, 1024),
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        plain_bottlenecks: bool = False,
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(DEFAULT_INIT if init_cfg is None else init_cfg)
        self.in_channels = listed_channels(in_channels)
        expansion = EXPANSION['BOTTLENECK']
        if len(mid_channels) < len(in_channels) or any(c < 1 or c % expansion for c in mid_channels):
            raise ValueError(
                f'`mid_channels` ({tuple(mid_channels)}) must be multiples of {expansion}, one for each of the '
                f'{len(in_channels)} maps'
            )
        self.out_channels = out_channels
        mid_channels = tuple(mid_channels)[: len(in_channels)]
        efficient: dict[str, Any] = dict(efficient_conv_bn_eval=efficient_conv_bn_eval)
        layers = LayerFactory(conv_cfg, norm_cfg, **efficient)
        self.norm_cfg = layers.norm_cfg
        of_blocks = LayerFactory(**efficient) if plain_bottlenecks else layers
        common: dict[str, Any] = dict(conv_cfg=conv_cfg, norm_cfg=layers.norm_cfg, bias=False, **efficient)
        self.grain = grain_of(with_cp)
        self.increase_layers = nn.ModuleList(
            residual_layer('BOTTLENECK', c_in, c_mid // expansion, 1, of_blocks, with_cp=self.grain == 'block')
            for c_in, c_mid in zip(in_channels, mid_channels)
        )
        self.downsample_layers = nn.ModuleList(
            ConvModule(finer, coarser, 3, stride=2, padding=1, **common) for finer, coarser in pairwise(mid_channels)
        )
        self.final_layer = ConvModule(mid_channels[-1], out_channels, 1, **common)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor]:
        """Maps (B, in_channels[i], h_i, w_i), finest first -> one map (B, out_channels, h, w), in a tuple.

        Each map must be half as large as the one before it, rounded up, as an HRNet's are.

        Raises:
            ValueError: If the maps do not have ``in_channels``.
        """
        check_feats(feats, self.in_channels)
        total = self._run(self.increase_layers[0], feats[0])  # (B, mid_channels[0], h_0, w_0)
        for i, step in enumerate(self.downsample_layers, start=1):
            total = self._run(step, total) + self._run(self.increase_layers[i], feats[i])  # (B, mid_channels[i], ., .)
        return (self._run(self.final_layer, total),)

    def _run(self, layer: nn.Module, x: Tensor) -> Tensor:
        return run(layer, [layer], '' if self.grain == 'block' else self.grain, x)
