"""Put our classes behind upstream's names: importing this module makes ``type='HRNet'`` ours, in every framework.

``custom_imports = dict(imports=['hrnet_plugins.dropin'])`` in anybody's config swaps the backbone and the neck and
changes nothing else: each framework keeps its own arguments, positions, defaults and numbers, in the classes below. So
the same config trains the same numbers, where upstream has a flaw too: what we think right is said by the name
``hrnet_plugins.HRNet``. What still differs is listed in ``docs/drop-in.md``.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_plugins.archs import ARCHS, EXTRA_KEYS, EXTRA_STAGES, HRNetArch
from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from hrnet_plugins.models.hrfpn import XAVIER_INIT
from hrnet_plugins.models.layers import BLOCKS, DEFAULT_INIT
from hrnet_plugins.models.recompute import WithCP

InitCfg = dict[str, Any] | list[dict[str, Any]] | None

_BN: dict[str, Any] = dict(type='BN')
_BN_MOMENTUM: dict[str, Any] = dict(type='BN', momentum=0.1)
_LINEAR_INIT: dict[str, Any] = dict(type='Normal', layer='Linear', std=0.01)


class _UpstreamHRNet(HRNet):
    """What the three have in common: upstream's attributes, and what upstream ignores.

    Args:
        arch: An architecture, or upstream's ``extra`` dictionary.
        zero_init_residual: Not used: in all three frameworks it has no effect.
        options: Of ``HRNet``.
    """

    blocks_dict = BLOCKS

    def __init__(self, arch: str | Mapping[str, Any], *, zero_init_residual: bool, **options: Any) -> None:
        if zero_init_residual:
            warnings.warn(
                f'`zero_init_residual` ({zero_init_residual}) has no effect in the HRNet of mmdet, mmseg and '
                "mmpretrain, so not here: to start residual blocks at zero write type='hrnet_plugins.HRNet'",
                stacklevel=3,
            )
        super().__init__(_known_extra(arch) if isinstance(arch, Mapping) else arch, **options)
        self.zero_init_residual = False
        self.extra = arch if isinstance(arch, Mapping) else _extra_of(self.arch)
        self.stage1_cfg, self.stage2_cfg, self.stage3_cfg, self.stage4_cfg = (self.extra[name] for name in EXTRA_STAGES)


class MMDetHRNet(_UpstreamHRNet):
    """``HRNet`` with mmdet's arguments and defaults: nearest upsampling, ``norm_eval=True``."""

    def __init__(
        self,
        extra: Mapping[str, Any],
        in_channels: int = 3,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] = _BN,
        norm_eval: bool = True,
        with_cp: WithCP = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        *,
        efficient_conv_bn_eval: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(
            extra,
            in_channels=in_channels,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            multiscale_output=multiscale_output,
            efficient_conv_bn_eval=efficient_conv_bn_eval,
            channels_last=channels_last,
            init_cfg=_init_cfg(pretrained, init_cfg),
        )
        self.pretrained = pretrained


class MMSegHRNet(_UpstreamHRNet):
    """``HRNet`` with mmseg's arguments and defaults: bilinear upsampling by the factor, then to the size."""

    def __init__(
        self,
        extra: Mapping[str, Any],
        in_channels: int = 3,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] = _BN,
        norm_eval: bool = False,
        with_cp: WithCP = False,
        frozen_stages: int = -1,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        *,
        efficient_conv_bn_eval: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(
            extra,
            in_channels=in_channels,
            upsample='bilinear',
            align_corners=False,
            upsample_by='factor',
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            frozen_stages=frozen_stages,
            zero_init_residual=zero_init_residual,
            multiscale_output=multiscale_output,
            efficient_conv_bn_eval=efficient_conv_bn_eval,
            channels_last=channels_last,
            init_cfg=_init_cfg(pretrained, init_cfg),
        )
        self.pretrained = pretrained


class MMPretrainHRNet(_UpstreamHRNet):
    """``HRNet`` with mmpretrain's arguments and defaults: nearest upsampling, ``layer1`` without the two configs."""

    arch_zoo = {  # noqa: RUF012, upstream's type
        name: [[s.modules, len(s.channels), s.block, s.blocks, s.channels] for s in arch.stages]
        for name, arch in ARCHS.items()
        if '_' not in name
    }

    def __init__(
        self,
        arch: str = 'w32',
        extra: Mapping[str, Any] | None = None,
        in_channels: int = 3,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] = _BN,
        norm_eval: bool = False,
        with_cp: WithCP = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        init_cfg: InitCfg = DEFAULT_INIT,
        *,
        efficient_conv_bn_eval: bool = True,
        channels_last: bool = False,
    ) -> None:
        super().__init__(
            arch if extra is None else extra,
            in_channels=in_channels,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            plain_layer1=True,
            norm_eval=norm_eval,
            with_cp=with_cp,
            zero_init_residual=zero_init_residual,
            multiscale_output=multiscale_output,
            efficient_conv_bn_eval=efficient_conv_bn_eval,
            channels_last=channels_last,
            init_cfg=_pytorchs_if_none(init_cfg),
        )


class MMDetHRFPN(HRFPN):
    """``HRFPN`` with mmdet's arguments; its ``norm_cfg``, which mmdet accepts and never reads, warns."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int = 5,
        pooling_type: str = 'AVG',
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        with_cp: WithCP = False,
        stride: int = 1,
        init_cfg: InitCfg = XAVIER_INIT,
    ) -> None:
        if norm_cfg is not None:
            warnings.warn(
                f"`norm_cfg` ({norm_cfg}) is not used by mmdet's HRFPN, so not here: for norms in the neck write "
                "type='hrnet_plugins.HRFPN'",
                stacklevel=2,
            )
        super().__init__(
            in_channels,
            out_channels,
            num_outs=num_outs,
            stride=stride,
            pooling='max' if pooling_type == 'MAX' else 'avg',
            with_cp=with_cp,
            conv_cfg=conv_cfg,
            init_cfg=_pytorchs_if_none(init_cfg),
        )
        self.norm_cfg = norm_cfg


class MMPretrainHRFuseScales(HRFuseScales):
    """``HRFuseScales`` with mmpretrain's arguments and defaults: its ``norm_cfg`` does not reach the bottlenecks."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 2048,
        norm_cfg: dict[str, Any] = _BN_MOMENTUM,
        init_cfg: InitCfg = _LINEAR_INIT,
        *,
        with_cp: WithCP = False,
        efficient_conv_bn_eval: bool = True,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            norm_cfg=norm_cfg,
            plain_bottlenecks=True,
            with_cp=with_cp,
            efficient_conv_bn_eval=efficient_conv_bn_eval,
            init_cfg=_pytorchs_if_none(init_cfg),
        )


def _init_cfg(pretrained: str | None, init_cfg: InitCfg) -> InitCfg:
    if pretrained is None:
        return init_cfg
    if init_cfg is not None:
        raise ValueError(f'`pretrained` ({pretrained}) and `init_cfg` ({init_cfg}) exclude each other: keep `init_cfg`')
    return dict(type='Pretrained', checkpoint=pretrained)


def _pytorchs_if_none(init_cfg: InitCfg) -> InitCfg:
    """Our argument for upstream's: there ``None`` leaves layers as PyTorch starts them, here an empty list does."""
    return [] if init_cfg is None else init_cfg


def _known_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``extra`` that upstream reads; the rest is named in a warning, since upstream ignores it."""
    known = {name: stage for name, stage in extra.items() if name in EXTRA_STAGES}
    unknown = [name for name in extra if name not in known]
    for name, stage in known.items():
        if isinstance(stage, Mapping):
            unknown += [f'{name}.{key}' for key in stage if key not in EXTRA_KEYS]
            known[name] = {key: value for key, value in stage.items() if key in EXTRA_KEYS}
    if unknown:
        warnings.warn(
            f'`extra` has {", ".join(unknown)}, which no HRNet reads: ignored, as upstream does; remove it',
            stacklevel=4,
        )
    return known


def _extra_of(arch: HRNetArch) -> dict[str, dict[str, Any]]:
    """Upstream's ``extra`` dictionary of an architecture."""
    values = ((s.modules, len(s.channels), s.block, s.blocks, s.channels) for s in arch.stages)
    return {name: dict(zip(EXTRA_KEYS, value)) for name, value in zip(EXTRA_STAGES, values)}


_REPLACEMENTS: dict[str, dict[str, type]] = {
    'mmdet': {'HRNet': MMDetHRNet, 'HRFPN': MMDetHRFPN},
    'mmseg': {'HRNet': MMSegHRNet},
    'mmpretrain': {'HRNet': MMPretrainHRNet, 'HRFuseScales': MMPretrainHRFuseScales},
}


def register() -> tuple[str, ...]:
    """Replace upstream's classes in the registry of each installed framework; return the frameworks reached.

    A framework that is installed but fails to import is left alone, with a warning.
    """
    reached = []
    for framework, classes in _REPLACEMENTS.items():
        if importlib.util.find_spec(framework) is None:
            continue
        try:
            importlib.import_module(f'{framework}.models')
            registry = importlib.import_module(f'{framework}.registry').MODELS
        except Exception as error:
            warnings.warn(f'{framework} is installed but does not import, its HRNet stays: {error}', stacklevel=2)
            continue
        for name, cls in classes.items():
            registry.register_module(name=name, module=cls, force=True)
        reached.append(framework)
    return tuple(reached)


register()
