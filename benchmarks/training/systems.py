"""The ways to train that are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval_for_single_model

from benchmarks.training import networks
from benchmarks.training.cases import Case
from benchmarks.training.networks import Training
from hrnet_plugins.training import CompileHook

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16}


@dataclass(frozen=True)
class System:
    """One way to train.

    Args:
        name: For tables.
        make: A case and a device -> the model and its loss.
        dtype: ``'fp32'``, or ``'bf16'`` for autocast.
        runs: Whether it takes part in a case.
        compiles: Whether it takes minutes to be ready.
    """

    name: str
    make: Callable[[Case, str], Training]
    dtype: str = 'fp32'
    runs: Callable[[Case], bool] = lambda case: True
    compiles: bool = False

    @property
    def key(self) -> str:
        """Name and precision."""
        return f'{self.name} {self.dtype}'


def _fixed(case: Case) -> bool:
    return case.fixed


def _learning(case: Case) -> bool:
    return not case.fixed


def _pyramid(case: Case) -> bool:
    return case.kind == 'pyramid'


def _timm(case: Case) -> bool:
    return _pyramid(case) and case.arch in ('w18', 'w32', 'w48')


def _ours(**options: Any) -> Callable[[Case, str], Training]:
    return partial(networks.ours, **options)


def _efficient(case: Case, device: str) -> Training:
    """Mmengine's own option for fixed statistics, which rewrites forwards."""
    training = networks.upstream(case, device)
    turn_on_efficient_conv_bn_eval_for_single_model(next(training.model.children()))  # mmdet's neck cannot be traced
    return training


def _timm_channels_last(case: Case, device: str) -> Training:
    training = networks.timms(case, device)
    training.model.to(memory_format=torch.channels_last)
    return training


def _compiled(make: Callable[[Case, str], Training], case: Case, device: str) -> Training:
    """Backbone and neck compiled as wholes, for the sizes of the case."""
    training = make(case, device)
    for part in training.model.children():
        part.compile(dynamic=False)
    return training


def _compiled_blocks(case: Case, device: str, **options: Any) -> Training:
    """What a config's ``custom_hooks`` do."""
    training = networks.ours(case, device, **options)
    CompileHook().before_train(SimpleNamespace(model=training.model, logger='silent'))
    return training


UPSTREAM = System("upstream's HRNet", networks.upstream)
"""What the others are compared with: mmdet's, mmseg's or mmpretrain's classes, run by PyTorch eagerly."""

_FP32 = (
    UPSTREAM,
    System('ours', _ours()),
    System("ours, with_cp='norm'", _ours(with_cp='norm'), runs=_learning),
    System('ours, channels_last', _ours(channels_last=True)),
    System("ours, with_cp='norm', channels_last", _ours(with_cp='norm', channels_last=True), runs=_learning),
    System("ours, with_cp='block', channels_last", _ours(with_cp='block', channels_last=True)),
    System("ours, with_cp='module', channels_last", _ours(with_cp='module', channels_last=True)),
)
_OTHERS = (
    System("upstream's, efficient_conv_bn_eval", _efficient, runs=lambda case: case.fixed and _pyramid(case)),
    System('timm', networks.timms, runs=_timm),
    System('timm, channels_last', _timm_channels_last, runs=_timm),
    System("upstream's, torch.compile", partial(_compiled, networks.upstream), runs=_pyramid, compiles=True),
    System('ours, torch.compile', partial(_compiled, networks.ours), runs=_pyramid, compiles=True),
    System('ours, CompileHook', _compiled_blocks, compiles=True),
    System('ours, CompileHook, channels_last', partial(_compiled_blocks, channels_last=True), compiles=True),
)
SYSTEMS: tuple[System, ...] = (*_FP32, *(replace(system, dtype='bf16') for system in _FP32), *_OTHERS)
"""All of them. ``with_cp`` and ``channels_last`` are the options of ``HRNet``."""
