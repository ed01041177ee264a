"""The HRNet backbone. Shape legend: B batch, C channels, H x W input size in pixels, h x w size of a map."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugins.archs import HRNetArch, Stage
from hrnet_plugins.models.layers import DEFAULT_INIT, LayerFactory, ResidualBlock, residual_layer
from hrnet_plugins.registry import MODELS
from hrnet_plugins.weights.check import check_against

STEM_CHANNELS = 64
MIN_SIZE = 32
"""Smallest input side in pixels: one cell of the coarsest map."""


class HRModule(nn.Module):
    """Parallel branches followed by an exchange between all of them (arXiv:1908.07919, section 3.2).

    Branch ``i`` receives the sum over every branch ``j``: resized up after a 1x1 convolution where ``j`` is
    coarser, through strided 3x3 convolutions where it is finer, as it is where ``j == i``.

    Args:
        stage: Branches to build; ``modules`` is not read here.
        layers: Factory of convolutions and norms.
        num_outs: How many branches, from the finest, the exchange returns.
        upsample: Interpolation of coarser branches.
        align_corners: As in ``torch.nn.functional.interpolate``; ``None`` for nearest.
        with_cp: Recompute residual blocks in the backward pass.
    """

    def __init__(
        self,
        stage: Stage,
        layers: LayerFactory,
        *,
        num_outs: int,
        upsample: str,
        align_corners: bool | None,
        with_cp: bool,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.align_corners = align_corners
        channels = stage.out_channels
        self.branches = nn.ModuleList(
            residual_layer(stage.block, c_out, c_base, depth, layers, with_cp=with_cp)
            for c_out, c_base, depth in zip(channels, stage.channels, stage.blocks)
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(channels, j, i, layers) for j in range(len(channels)))
            for i in range(num_outs if len(channels) > 1 else 0)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), finest first -> the first ``num_outs`` of them, exchanged."""
        feats = [branch(x) for branch, x in zip(self.branches, feats)]
        if len(feats) == 1:
            return feats
        return [self.relu(self._fuse(i, feats)) for i in range(len(self.fuse_layers))]

    def _fuse(self, i: int, feats: Sequence[Tensor]) -> Tensor:
        size = feats[i].shape[2:]
        total: Tensor | None = None
        for j, feat in enumerate(feats):
            term = self.fuse_layers[i][j](feat)  # type: ignore[index]  # a list of lists
            if j > i:  # (B, C_i, h_j, w_j) -> (B, C_i, h_i, w_i)
                term = F.interpolate(term, size=size, mode=self.upsample, align_corners=self.align_corners)
            total = term if total is None else total + term
        assert total is not None
        return total


def _exchange(channels: Sequence[int], source: int, target: int, layers: LayerFactory) -> nn.Module:
    """What branch ``source`` passes through on its way into branch ``target``, resizing up aside."""
    if source == target:
        return nn.Identity()
    if source > target:
        return layers.conv_norm(channels[source], channels[target], 1)
    *inner, last = [channels[source]] * (target - source - 1) + [channels[target]]
    steps = [layers.conv_norm_relu(c, c, stride=2) for c in inner]
    return nn.Sequential(*steps, layers.conv_norm(channels[source], last, 3, stride=2))


def _transition(before: Sequence[int], after: Sequence[int], layers: LayerFactory) -> nn.ModuleList:
    """Branches of one stage to those of the next; new branches step down from the coarsest."""
    steps: list[nn.Module] = []
    for i, channels in enumerate(after):
        if i < len(before):
            same = before[i] == channels
            steps.append(nn.Identity() if same else layers.conv_norm_relu(before[i], channels))
        else:
            widths = [before[-1]] * (i + 1 - len(before)) + [channels]
            downs = (layers.conv_norm_relu(a, b, stride=2) for a, b in pairwise(widths))
            steps.append(nn.Sequential(*downs))
    return nn.ModuleList(steps)


def _transit(transition: nn.ModuleList, feats: Sequence[Tensor]) -> list[Tensor]:
    sources = [*feats, *[feats[-1]] * (len(transition) - len(feats))]
    return [step(x) for step, x in zip(transition, sources)]


@MODELS.register_module()
class HRNet(BaseModule):
    """High-resolution network: branches at strides 4, 8, 16, 32 kept in parallel and exchanging at every module.

    Source: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (TPAMI 2020,
    arXiv:1908.07919), sections 3.1 to 3.3. State dict names are the published ones.

    Args:
        arch: A name of ``hrnet_plugins.ARCHS``, an ``HRNetArch``, or a dictionary like ``extra``.
        extra: The architecture as mmdet, mmseg and mmpretrain configs write it, instead of ``arch``.
        in_channels: Channels of the input image.
        out_indices: Branches to return, 0 the finest; ``None`` returns all.
        upsample: Interpolation inside the exchanges: ``'nearest'`` (ImageNet and detection models) or
            ``'bilinear'`` (segmentation models).
        align_corners: For ``'bilinear'`` only, as in ``torch.nn.functional.interpolate``.
        frozen_stages: Fixed parameters and statistics: -1 none, 0 the stem, 1 to 4 also the stages up to this
            one, with the transition that follows each.
        norm_eval: Keep the running statistics of batch norms fixed in training; scale and shift still learn.
            It needs pretrained statistics.
        zero_init_residual: Start the last norm of each residual block at zero (Goyal et al., arXiv:1706.02677).
        multiscale_output: If False the last exchange has weights for the finest branch only, and only that
            is returned.
        with_cp: Recompute residual blocks in the backward pass: less memory, more time.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config, for every norm; ``None`` means ``dict(type='BN')``.
        init_cfg: mmengine initialisation; ``None`` means Kaiming for convolutions and ones for norms.

    Attributes:
        out_channels: Channels of each returned map, in order.

    Raises:
        ValueError: If an argument is out of range or contradicts another.
    """

    def __init__(
        self,
        arch: str | HRNetArch | Mapping[str, Any] = 'w32',
        *,
        extra: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        upsample: Literal['nearest', 'bilinear'] = 'nearest',
        align_corners: bool | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        with_cp: bool = False,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg or DEFAULT_INIT)
        if extra is not None and arch != 'w32':
            raise ValueError(f'`arch` ({arch!r}) and `extra` both name an architecture: keep one')
        self.arch = HRNetArch.of(arch if extra is None else extra)
        if upsample not in ('nearest', 'bilinear'):
            raise ValueError(f"`upsample` ({upsample!r}) must be 'nearest' or 'bilinear'")
        if upsample == 'nearest' and align_corners is not None:
            raise ValueError(f"`align_corners` ({align_corners}) has no meaning for upsample='nearest': leave it None")
        if frozen_stages not in range(-1, 5):
            raise ValueError(f'`frozen_stages` ({frozen_stages}) must be -1 (none) or 0 (stem) to 4 (everything)')
        branches = self.arch.channels if multiscale_output else self.arch.channels[:1]
        self.out_indices = tuple(range(len(branches)) if out_indices is None else out_indices)
        if not self.out_indices or any(i not in range(len(branches)) for i in self.out_indices):
            raise ValueError(f'`out_indices` ({out_indices}) must name branches 0 to {len(branches) - 1}')
        self.out_channels = tuple(branches[i] for i in self.out_indices)
        self.in_channels = in_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.zero_init_residual = zero_init_residual

        layers = LayerFactory(conv_cfg, norm_cfg)
        self._stem_names = []
        for i, channels in ((1, in_channels), (2, STEM_CHANNELS)):
            norm_name, norm = layers.norm(STEM_CHANNELS, postfix=i)
            self.add_module(f'conv{i}', layers.conv(channels, STEM_CHANNELS, 3, stride=2))
            self.add_module(norm_name, norm)
            self._stem_names += [f'conv{i}', norm_name]
        self.relu = nn.ReLU(inplace=True)

        first = self.arch.stages[0]
        self.layer1 = residual_layer(
            first.block, STEM_CHANNELS, first.channels[0], first.blocks[0], layers, with_cp=with_cp
        )
        for before, stage, i in zip(self.arch.stages, self.arch.stages[1:], (1, 2, 3)):
            num_outs = [len(stage.channels)] * stage.modules
            if i == 3:
                num_outs[-1] = len(branches)
            modules = (
                HRModule(stage, layers, num_outs=n, upsample=upsample, align_corners=align_corners, with_cp=with_cp)
                for n in num_outs
            )
            self.add_module(f'transition{i}', _transition(before.out_channels, stage.out_channels, layers))
            self.add_module(f'stage{i + 1}', nn.Sequential(*modules))
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W), any H, W >= 32 -> maps (B, out_channels[i], h_i, w_i) of ``out_indices``.

        The map of branch ``k`` has stride ``4 * 2**k``: ``h`` is H halved ``k + 2`` times, rounding up.

        Raises:
            ValueError: If the input is not 4-D, has another number of channels, or is smaller than 32 pixels.
        """
        if x.dim() != 4 or x.shape[1] != self.in_channels or x.shape[2] < MIN_SIZE or x.shape[3] < MIN_SIZE:
            raise ValueError(
                f'`x` {tuple(x.shape)} must be (B, {self.in_channels}, H, W) with H, W >= {MIN_SIZE} pixels: '
                'pad or resize the image, or set `in_channels`'
            )
        conv1, norm1, conv2, norm2 = (getattr(self, name) for name in self._stem_names)
        x = self.relu(norm1(conv1(x)))  # (B, 64, H/2, W/2)
        x = self.relu(norm2(conv2(x)))  # (B, 64, H/4, W/4)
        feats = [self.layer1(x)]
        feats = self.stage2(_transit(self.transition1, feats))
        feats = self.stage3(_transit(self.transition2, feats))
        feats = self.stage4(_transit(self.transition3, feats))
        return tuple(feats[i] for i in self.out_indices)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, then zero the last norm of each block if asked and not pretrained.

        Raises:
            ValueError: If weights named ``hrnet://...`` do not fit; mmengine itself would skip what does not.
        """
        for cfg in self._pretrained():
            if cfg['checkpoint'].startswith('hrnet://'):
                self._check(cfg['checkpoint'], cfg.get('prefix') or '')
        super().init_weights()
        if self.zero_init_residual and not self._pretrained():
            for block in self.modules():
                if isinstance(block, ResidualBlock):
                    nn.init.zeros_(block.last_norm.weight)  # type: ignore[arg-type]

    def train(self, mode: bool = True) -> HRNet:
        """Set the mode, keeping frozen stages and, with ``norm_eval``, all batch norms in eval mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            self._warn_of_unset_statistics()
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        parts = list(self._stem_names) if self.frozen_stages >= 0 else []
        for i in range(1, self.frozen_stages + 1):
            parts += ['layer1' if i == 1 else f'stage{i}'] + ([f'transition{i}'] if i < 4 else [])
        for name in parts:
            self.get_submodule(name).eval().requires_grad_(False)

    def _pretrained(self) -> list[dict[str, Any]]:
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]
        return [cfg for cfg in cfgs if cfg['type'] == 'Pretrained']

    def _check(self, checkpoint: str, prefix: str) -> None:
        state = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')['state_dict']
        if prefix:  # as mmengine takes it, with or without its dot
            inside = f'{prefix.removesuffix(".")}.'
            state = {key.removeprefix(inside): value for key, value in state.items() if key.startswith(inside)}
            if not state:
                raise ValueError(f'`prefix` ({prefix}) of `init_cfg` begins no entry of {checkpoint}: leave it out')
        own = self.state_dict()
        try:
            check_against({key: value for key, value in state.items() if key in own}, self)
        except ValueError as error:
            raise ValueError(f'`init_cfg` names {checkpoint}, which is for another architecture: {error}') from None

    def _warn_of_unset_statistics(self) -> None:
        norm = getattr(self, self._stem_names[1])
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
            return
        if (norm.running_mean == 0).all() and (norm.running_var == 1).all():
            warnings.warn(
                '`norm_eval` (True) fixes the batch norm statistics at their initial 0 and 1, as no pretrained '
                'weights were loaded; training then diverges to NaN. Pass '
                "init_cfg=dict(type='Pretrained', checkpoint=...) or norm_eval=False",
                stacklevel=3,
            )
