"""Put our classes behind upstream's names: importing this module makes ``type='HRNet'`` ours, in every framework.

``custom_imports = dict(imports=['hrnet_plugins.dropin'])`` in anybody's config swaps the backbone and the neck
and changes nothing else: each framework keeps the argument names and defaults of its own, collected in the classes
below; those that all share pass through. So the same config trains the same numbers. Three things differ on purpose:
``zero_init_residual`` works (mmdet and mmseg never read it), the ``norm_cfg`` of mmpretrain's ``HRFuseScales`` reaches
all of its norms (upstream's stops before its bottlenecks), and sizes work that upstream cannot resize exactly.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet

InitCfg = dict[str, Any] | list[dict[str, Any]] | None


class MMDetHRNet(HRNet):
    """``HRNet`` with mmdet's arguments and defaults: nearest upsampling, ``norm_eval=True``."""

    def __init__(
        self,
        extra: Mapping[str, Any],
        *,
        norm_eval: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
        **options: Any,
    ) -> None:
        super().__init__(extra, norm_eval=norm_eval, init_cfg=_init_cfg(pretrained, init_cfg), **options)


class MMSegHRNet(HRNet):
    """``HRNet`` with mmseg's arguments and defaults: bilinear upsampling, ``align_corners=False``."""

    def __init__(
        self, extra: Mapping[str, Any], *, pretrained: str | None = None, init_cfg: InitCfg = None, **options: Any
    ) -> None:
        init_cfg = _init_cfg(pretrained, init_cfg)
        super().__init__(extra, upsample='bilinear', align_corners=False, init_cfg=init_cfg, **options)


class MMPretrainHRNet(HRNet):
    """``HRNet`` with mmpretrain's arguments and defaults: nearest upsampling, ``extra`` before ``arch``."""

    def __init__(self, arch: str = 'w32', extra: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(arch if extra is None else extra, **options)


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
        with_cp: bool = False,
        stride: int = 1,
        init_cfg: InitCfg = None,
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
            init_cfg=init_cfg,
        )


class MMPretrainHRFuseScales(HRFuseScales):
    """``HRFuseScales`` with mmpretrain's default initialisation, which leaves convolutions as PyTorch starts them."""

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int = 2048,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        init_cfg = init_cfg or dict(type='Normal', layer='Linear', std=0.01)
        super().__init__(in_channels, out_channels, norm_cfg=norm_cfg, init_cfg=init_cfg)


def _init_cfg(pretrained: str | None, init_cfg: InitCfg) -> InitCfg:
    if pretrained is None:
        return init_cfg
    if init_cfg is not None:
        raise ValueError(f'`pretrained` ({pretrained}) and `init_cfg` ({init_cfg}) exclude each other: keep `init_cfg`')
    return dict(type='Pretrained', checkpoint=pretrained)


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
