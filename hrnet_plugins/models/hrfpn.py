"""HRFPN, the detection neck. Shape legend: B batch, C channels, h x w size of the finest map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import torch.fx
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from hrnet_plugins.models.conv_norm import ConvModule, runs_alone
from hrnet_plugins.models.feats import (
    check_feats,
    concat_feats,
    conv_norm_of_concat,
    conv_of_concat,
    listed_channels,
    same_layout,
)
from hrnet_plugins.models.recompute import Grain, WithCP, grain_of, run
from hrnet_plugins.registry import MODELS

XAVIER_INIT: dict[str, Any] = dict(type='Caffe2Xavier', layer='Conv2d')
"""Initialisation where a config asks for no other, as in mmdet."""

_POOLINGS: dict[str, Callable[..., Tensor]] = {'avg': F.avg_pool2d, 'max': F.max_pool2d}
_REDUCTIONS: dict[str, Callable[..., Tensor]] = {'avg': torch.mean, 'max': torch.amax}
_EAGER_POOLING: ContextVar[bool] = ContextVar('_EAGER_POOLING', default=False)


def pools_by_size(x: Tensor) -> bool:
    """True when eager pooling may be used; False while torch.export or torch.compile traces symbolic sizes."""
    if torch.compiler.is_dynamo_compiling():  # there symbolic sizes look like numbers
        return False
    return _EAGER_POOLING.get() or not any(isinstance(side, torch.SymInt) for side in x.shape[2:])


@contextmanager
def use_eager_pooling() -> Iterator[None]:
    """Inside it ``pools_by_size`` is True in torch.export too: for a caller that lets torch trace pooled sizes."""
    token = _EAGER_POOLING.set(True)
    try:
        yield
    finally:
        _EAGER_POOLING.reset(token)


def pool_level(x: Tensor, level: int, pooling: str) -> Tensor:
    """A map pooled by ``2**level``, with a window that never exceeds it: (B, C, h, w) -> (B, C, h', w')."""
    window = 2**level
    height, width = (side if side < window else window for side in x.shape[2:])
    if torch.compiler.is_dynamo_compiling() and torch.is_grad_enabled():
        # Inductor of PyTorch 2.11 writes beside its arrays in the backward of `unfold` on several threads of a CPU.
        rows, columns = x.shape[2] // height, x.shape[3] // width
        cells = x[:, :, : rows * height, : columns * width].unflatten(3, (columns, width)).unflatten(2, (rows, height))
        return _REDUCTIONS[pooling](cells, dim=(3, 5))
    if not pools_by_size(x):  # of these views torch can tell for every size how many windows they are
        views = x.unfold(2, height, height).unfold(3, width, width)  # (B, C, h', w', height, width)
        return _REDUCTIONS[pooling](views, dim=(-2, -1))
    return _POOLINGS[pooling](x, (height, width), (height, width))


# Steps of their own in graphs that torch.fx traces, which cannot look at sizes.
torch.fx.wrap('check_feats')
torch.fx.wrap('pool_level')
torch.fx.wrap('same_layout')


@MODELS.register_module()
class HRFPN(BaseModule):
    """Feature pyramid of an HRNet: all branches at the finest size, one 1x1 convolution, then pooled levels.

    Source: HRNetV2p of Sun et al., "High-Resolution Representations for Labeling Pixels and Regions"
    (arXiv:1904.04514), section 2.2. State dict names are those of mmdet.

    Args:
        in_channels: Channels of each backbone map, finest first: the backbone's ``out_channels``.
        out_channels: Channels of every level.
        num_outs: Levels; level ``i`` is the fused map pooled by ``2**i``.
        stride: Stride of each level's 3x3 convolution, any from 1: 2 starts the pyramid at stride 8 instead of 4.
        pooling: How levels are pooled.
        with_cp: Recompute the convolutions in the backward pass: less memory, more time. ``'norm'`` is taken for False:
            as published, there are no norms.
        efficient_conv_bn_eval: Train a convolution and a batch norm with fixed statistics as one convolution.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config for a norm after every convolution; ``None``, as published, means none.
        init_cfg: mmengine initialisation; ``None`` means Caffe2's Xavier, an empty list PyTorch's own.

    Attributes:
        out_channels: Channels of every level.
        num_outs: Number of levels.
        num_ins: Number of backbone maps.

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
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(XAVIER_INIT if init_cfg is None else init_cfg)
        self.in_channels = listed_channels(in_channels)
        if num_outs < 1:
            raise ValueError(f'`num_outs` ({num_outs}) must be at least 1')
        if stride < 1:
            raise ValueError(f'`stride` ({stride}) must be at least 1')
        if pooling not in _POOLINGS:
            raise ValueError(f"`pooling` ({pooling!r}) must be 'avg' or 'max'")
        self.out_channels = out_channels
        self.num_ins = len(self.in_channels)
        self.num_outs = num_outs
        self.pooling = pooling
        self.with_cp = with_cp
        self.grain: Grain = '' if with_cp == 'norm' else grain_of(with_cp)
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg
        common: dict[str, Any] = dict(
            conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=None, efficient_conv_bn_eval=efficient_conv_bn_eval
        )
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
        feats = [feats[i] for i in range(self.num_ins)]
        fused = run(self._reduce, [self.reduction_conv], self.grain, feats)  # (B, C, h, w)
        fused = same_layout(fused, feats[0])
        levels = [fused, *(pool_level(fused, i, self.pooling) for i in range(1, self.num_outs))]
        return tuple(self._run(conv, level) for conv, level in zip(self.fpn_convs, levels))

    def _reduce(self, feats: Sequence[Tensor]) -> Tensor:
        module = self.reduction_conv
        if not runs_alone(module):
            return module(concat_feats(feats, align_corners=False))
        if module.with_norm:
            efficient = module.efficient_conv_bn_eval
            return conv_norm_of_concat(
                module.conv, module.norm, feats, self.in_channels, align_corners=False, efficient=efficient
            )
        return conv_of_concat(module.conv, feats, self.in_channels, align_corners=False)

    def _run(self, layer: nn.Module, x: Tensor) -> Tensor:
        return run(layer, [layer], self.grain, x)
