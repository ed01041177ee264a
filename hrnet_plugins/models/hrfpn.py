"""HRFPN, the detection neck. Shape legend: B batch, C channels, h x w size of the finest map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch.nn.functional as F
import torch.utils.checkpoint
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from hrnet_plugins.models.feats import check_feats, concat_feats, listed_channels
from hrnet_plugins.registry import MODELS

_POOLINGS: dict[str, Callable[..., Tensor]] = {'avg': F.avg_pool2d, 'max': F.max_pool2d}
_REDUCTIONS: dict[str, Callable[..., Tensor]] = {'avg': torch.mean, 'max': torch.amax}


def pools_any_size() -> bool:
    """Whether pooling is as good for one size as for any other: not where torch follows it for every size at once."""
    return not torch.compiler.is_exporting()  # which is also true within torch.compile


@MODELS.register_module()
class HRFPN(BaseModule):
    """Feature pyramid of an HRNet: all branches at the finest size, one 1x1 convolution, then pooled levels.

    Source: HRNetV2p of Sun et al., "High-Resolution Representations for Labeling Pixels and Regions"
    (arXiv:1904.04514), section 2.2. State dict names are those of mmdet.

    Args:
        in_channels: Channels of each backbone map, finest first: the backbone's ``out_channels``.
        out_channels: Channels of every level.
        num_outs: Levels; level ``i`` is the fused map pooled by ``2**i``.
        stride: Stride of each level's 3x3 convolution: 2 starts the pyramid at stride 8 instead of 4.
        pooling: How levels are pooled.
        with_cp: Recompute the convolutions in the backward pass: less memory, more time.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config for a norm after every convolution; ``None``, as published, means none.
        init_cfg: mmengine initialisation; ``None`` means Caffe2's Xavier.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 256,
        *,
        num_outs: int = 5,
        stride: int = 1,
        pooling: Literal['avg', 'max'] = 'avg',
        with_cp: bool = False,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or dict(type='Caffe2Xavier', layer='Conv2d'))
        self.in_channels = listed_channels(in_channels)
        if num_outs < 1:
            raise ValueError(f'`num_outs` ({num_outs}) must be at least 1')
        if stride not in (1, 2):
            raise ValueError(f'`stride` ({stride}) must be 1 or 2')
        if pooling not in _POOLINGS:
            raise ValueError(f"`pooling` ({pooling!r}) must be 'avg' or 'max'")
        self.out_channels = (out_channels,) * num_outs
        self.pooling = pooling
        self.with_cp = with_cp
        common = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None)
        self.reduction_conv = ConvModule(sum(in_channels), out_channels, 1, **common)
        self.fpn_convs = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, stride=stride, padding=1, **common) for _ in range(num_outs)
        )

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, in_channels[i], h_i, w_i), finest first -> ``num_outs`` maps (B, out_channels, ., .).

        Level ``i`` has ``max(h // 2**i, 1)`` rows before its strided convolution.

        Raises:
            ValueError: If the maps do not have ``in_channels``.
        """
        check_feats(feats, self.in_channels)
        fused = self._run(self.reduction_conv, concat_feats(feats, align_corners=False))  # (B, C, h, w)
        return tuple(self._run(conv, self._pool(fused, i)) for i, conv in enumerate(self.fpn_convs))

    def _pool(self, x: Tensor, level: int) -> Tensor:
        if level == 0:
            return x
        window = 2**level
        height, width = (side if side < window else window for side in x.shape[2:])
        if not pools_any_size():  # of these views torch can tell for every size how many windows they are
            views = x.unfold(2, height, height).unfold(3, width, width)  # (B, C, h / 2**level, w / 2**level, ., .)
            return _REDUCTIONS[self.pooling](views, dim=(-2, -1))
        return _POOLINGS[self.pooling](x, (height, width), (height, width))

    def _run(self, layer: nn.Module, x: Tensor) -> Tensor:
        if self.with_cp and x.requires_grad:
            return torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False)
        return layer(x)
