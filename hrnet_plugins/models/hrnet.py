"""The HRNet backbone. Shape legend: B batch, C channels, H x W input size in pixels, h x w size of a map."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import Any, Literal

import torch.fx
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugins.archs import HRNetArch, Stage
from hrnet_plugins.models.conv_norm import conv_norm, is_traced
from hrnet_plugins.models.feats import same_layout
from hrnet_plugins.models.hr_module import HRModule
from hrnet_plugins.models.layers import DEFAULT_INIT, LayerFactory, NamedNorms, ResidualBlock, residual_layer
from hrnet_plugins.models.pretrained import initialise, is_pretrained
from hrnet_plugins.models.recompute import WithCP, grain_of, run
from hrnet_plugins.registry import MODELS

STEM_CHANNELS = 64


def check_image(x: Tensor, in_channels: int) -> None:
    """Check that a batch of images is one that a backbone takes.

    Raises:
        ValueError: If it is not 4-D, has another number of channels, or is smaller than one pixel.
    """
    if x.dim() != 4 or x.shape[1] != in_channels or x.shape[2] < 1 or x.shape[3] < 1:
        raise ValueError(
            f'`x` {tuple(x.shape)} must be (B, {in_channels}, H, W) with H, W >= 1 pixel: '
            'add the batch dimension, or set `in_channels`'
        )


torch.fx.wrap('check_image')  # a step of its own in traced graphs, which cannot look at sizes


@MODELS.register_module()
class HRNet(NamedNorms, BaseModule):
    """High-resolution network: branches at strides 4, 8, 16, 32 kept in parallel and exchanging at every module.

    Source: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (TPAMI 2020,
    arXiv:1908.07919), sections 3.1 to 3.3. State dict names are the published ones.

    Args:
        arch: A name of ``hrnet_plugins.ARCHS``, an ``HRNetArch``, or the dictionary that configs of mmdet, mmseg and
            mmpretrain call ``extra``.
        in_channels: Channels of the input image.
        out_indices: Branches to return, 0 the finest; ``None`` returns all.
        upsample: Interpolation inside the exchanges: ``'nearest'`` (ImageNet and detection models) or
            ``'bilinear'`` (segmentation models).
        align_corners: For ``'bilinear'`` only, as in ``torch.nn.functional.interpolate``.
        upsample_by: Coarser branches are resized to the finer branch's ``'size'``, which works for any image; or by the
            ``'factor'`` between their strides and then to that size, as mmseg does. The two differ where a side is not
            29 to 32 modulo 32: mmseg then interpolates twice.
        frozen_stages: Fixed parameters and statistics: -1 none, 0 the stem, 1 to 4 also the stages up to this
            one, with the transition that follows each.
        norm_eval: Keep the running statistics of batch norms fixed in training; scale and shift still learn.
            It needs pretrained statistics.
        zero_init_residual: Start the last norm of each residual block at zero (Goyal et al., arXiv:1706.02677).
        multiscale_output: If False the last exchange has weights for the finest branch only, and only that
            is returned.
        with_cp: What the backward pass computes again, for less memory: ``'norm'`` the norms that learn statistics,
            and all between two convolutions, which takes little time; ``'block'``, or True, residual blocks;
            ``'module'`` whole modules of branches, which needs the least memory.
        efficient_conv_bn_eval: Train a convolution and a batch norm with fixed statistics, as with ``norm_eval`` and in
            frozen stages, as one convolution: less memory and time, the same up to rounding. False also gives norms
            that learn their statistics torch's own kernels.
        channels_last: Train with maps in torch's channels-last layout inside, where the machine is faster with it; the
            maps that are returned have the layout of the input.
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config, for every norm; ``None`` means ``dict(type='BN')``.
        plain_layer1: Build stage 1 without ``conv_cfg`` and ``norm_cfg``, of plain convolutions and batch norms, as
            mmpretrain does.
        init_cfg: mmengine initialisation; ``None`` means Kaiming for convolutions and ones for norms, an empty list
            PyTorch's own.

    Attributes:
        out_channels: Channels of each returned map, in order.
        norm1: The first norm of the stem; ``norm1_name`` is its name in the state dict, ``bn1`` or ``gn1``.
        norm2: The second one, likewise.

    Raises:
        ValueError: If an argument is out of range or contradicts another.
    """

    def __init__(
        self,
        arch: str | HRNetArch | Mapping[str, Any] = 'w32',
        *,
        in_channels: int = 3,
        out_indices: Sequence[int] | None = None,
        upsample: Literal['nearest', 'bilinear'] = 'nearest',
        align_corners: bool | None = None,
        upsample_by: Literal['size', 'factor'] = 'size',
        frozen_stages: int = -1,
        norm_eval: bool = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
        channels_last: bool = False,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        plain_layer1: bool = False,
        init_cfg: dict[str, Any] | list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(DEFAULT_INIT if init_cfg is None else init_cfg)
        self.arch = HRNetArch.of(arch)
        if upsample not in ('nearest', 'bilinear'):
            raise ValueError(f"`upsample` ({upsample!r}) must be 'nearest' or 'bilinear'")
        if upsample == 'nearest' and align_corners is not None:
            raise ValueError(f"`align_corners` ({align_corners}) has no meaning for upsample='nearest': leave it None")
        if upsample_by not in ('size', 'factor'):
            raise ValueError(f"`upsample_by` ({upsample_by!r}) must be 'size' or 'factor'")
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
        self.with_cp = with_cp
        self.grain = grain_of(with_cp)
        self.channels_last = channels_last
        self.conv_norm = partial(conv_norm, efficient=efficient_conv_bn_eval)

        layers = LayerFactory(conv_cfg, norm_cfg, efficient_conv_bn_eval=efficient_conv_bn_eval)
        self.conv_cfg, self.norm_cfg = layers.conv_cfg, layers.norm_cfg
        stage1, stage2, stage3, stage4 = self.arch.stages
        make_stage = partial(
            _stage,
            layers=layers,
            upsample=upsample,
            align_corners=align_corners,
            upsample_by=upsample_by,
            with_cp=with_cp,
        )
        self.conv1 = layers.conv(in_channels, STEM_CHANNELS, 3, stride=2)
        self.norm1_name = layers.add_norm(self, STEM_CHANNELS, postfix=1)
        self.conv2 = layers.conv(STEM_CHANNELS, STEM_CHANNELS, 3, stride=2)
        self.norm2_name = layers.add_norm(self, STEM_CHANNELS, postfix=2)
        self.relu = nn.ReLU(inplace=True)
        of_layer1 = LayerFactory(efficient_conv_bn_eval=efficient_conv_bn_eval) if plain_layer1 else layers
        self.layer1 = residual_layer(
            stage1.block,
            STEM_CHANNELS,
            stage1.channels[0],
            stage1.blocks[0],
            of_layer1,
            with_cp=self.grain == 'block',
        )
        self.transition1 = _transition(stage1.out_channels, stage2.out_channels, layers)
        self.stage2 = make_stage(stage2)
        self.transition2 = _transition(stage2.out_channels, stage3.out_channels, layers)
        self.stage3 = make_stage(stage3)
        self.transition3 = _transition(stage3.out_channels, stage4.out_channels, layers)
        self.stage4 = make_stage(stage4, num_outs=len(branches))
        self._freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W), any H, W >= 1 -> maps (B, out_channels[i], h_i, w_i) of ``out_indices``.

        The map of branch ``k`` has stride ``4 * 2**k``: ``h`` is H halved ``k + 2`` times, rounding up.

        Raises:
            ValueError: If the input is not 4-D, has another number of channels, or no pixels.
        """
        check_image(x, self.in_channels)
        if self.channels_last and torch.is_grad_enabled() and not is_traced(x):
            return tuple(same_layout(feat, x) for feat in self._maps(x.contiguous(memory_format=torch.channels_last)))
        return self._maps(x)

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self._run(self.stem, [self.conv1, self.norm1, self.conv2, self.norm2], x)  # (B, 64, H/4, W/4)
        feats = [self._run(self.layer1, [self.layer1], x)]
        feats = self.stage2(self.pass_on(self.transition1, feats))
        feats = self.stage3(self.pass_on(self.transition2, feats))
        feats = self.stage4(self.pass_on(self.transition3, feats))
        return tuple(feats[i] for i in self.out_indices)

    def stem(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 64, H/4, W/4)."""
        x = self.relu(self.conv_norm(self.conv1, self.norm1, x))  # (B, 64, H/2, W/2)
        return self.relu(self.conv_norm(self.conv2, self.norm2, x))  # (B, 64, H/4, W/4)

    def pass_on(self, transition: nn.ModuleList, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps of one stage to those of the next; new branches start from the coarsest map."""
        sources = [*feats, *[feats[-1]] * (len(transition) - len(feats))]
        return [
            step(x) if isinstance(step, nn.Identity) else self._run(step, [step], x)
            for step, x in zip(transition, sources)
        ]

    def _run(self, forward: Callable[[Tensor], Tensor], parts: Sequence[nn.Module], x: Tensor) -> Tensor:
        return run(forward, parts, '' if self.grain == 'block' else self.grain, x)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, then zero the last norm of each block if asked and not pretrained.

        Raises:
            ValueError: If pretrained weights do not fit; mmengine itself would skip what does not.
        """
        initialise(self, super().init_weights)
        if not is_pretrained(self):
            self.zero_last_norms()

    def zero_last_norms(self) -> None:
        """With ``zero_init_residual``, start the last norm of each residual block at zero."""
        for block in self.modules() if self.zero_init_residual else ():
            if isinstance(block, ResidualBlock):
                nn.init.zeros_(block.last_norm.weight)  # type: ignore[arg-type]

    def conv_norm_pairs(self) -> tuple[tuple[str, str], ...]:
        """Names of the stem's convolutions and of the norm that takes the output of each, in the forward's order."""
        return ('conv1', self.norm1_name), ('conv2', self.norm2_name)

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
        for module in self._frozen():
            module.eval().requires_grad_(False)

    def _frozen(self) -> Iterator[nn.Module]:
        parts = (
            (self.conv1, self.norm1, self.conv2, self.norm2),
            (self.layer1, self.transition1),
            (self.stage2, self.transition2),
            (self.stage3, self.transition3),
            (self.stage4,),
        )
        return chain.from_iterable(parts[: self.frozen_stages + 1])

    def _warn_of_unset_statistics(self) -> None:
        norm = self.norm1
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
            return
        if norm.running_mean.is_meta:  # without values
            return
        if (norm.running_mean == 0).all() and (norm.running_var == 1).all():
            warnings.warn(
                '`norm_eval` (True) fixes the batch norm statistics at their initial 0 and 1, as no pretrained '
                'weights were loaded; training then diverges to NaN. Pass '
                "init_cfg=dict(type='Pretrained', checkpoint=...) or norm_eval=False",
                stacklevel=3,
            )


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


def _stage(stage: Stage, layers: LayerFactory, *, num_outs: int | None = None, **options: Any) -> nn.Sequential:
    """The modules of a stage; the last returns ``num_outs`` branches, or all."""
    branches = len(stage.channels)
    outs = [branches] * (stage.modules - 1) + [branches if num_outs is None else num_outs]
    return nn.Sequential(*(HRModule(stage, layers, num_outs=count, **options) for count in outs))
