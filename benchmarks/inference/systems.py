"""The systems that are compared, each as a callable that is ready to run."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from benchmarks.inference.cases import Kind
from benchmarks.inference.networks import Networks
from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.precision import DTYPES

WHOLE: tuple[Kind, ...] = ('pyramid', 'faster-rcnn', 'ocr')


@dataclass(frozen=True)
class System:
    """One way to run a network.

    Args:
        name: For tables.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        make: Networks and precision -> a module; it may leave its own preparation to the first call.
        kinds: The cases it can run.
        devices: Where it runs.
        packages: What it needs beyond a stack.
        compiles: Whether it takes minutes to be ready.
    """

    name: str
    dtype: str
    make: Callable[[Networks, torch.dtype], Any]
    kinds: tuple[Kind, ...] = WHOLE
    devices: tuple[str, ...] = ('cpu', 'cuda')
    packages: tuple[str, ...] = ()
    compiles: bool = False

    @property
    def key(self) -> str:
        """Name and precision."""
        return f'{self.name} {self.dtype}'

    def runs(self, kind: Kind, device: str, arch: object) -> bool:
        """Whether it takes part in a case, with what is installed."""
        installed = all(importlib.util.find_spec(package) is not None for package in self.packages)
        known = 'timm' not in self.packages or arch in ('w18', 'w32', 'w48')
        return kind in self.kinds and device in self.devices and installed and known


def _upstream(networks: Networks, dtype: torch.dtype) -> nn.Module:
    return networks.upstream if dtype == torch.float32 else copy.deepcopy(networks.upstream).to(dtype)


def _plain(networks: Networks, dtype: torch.dtype) -> nn.Module:
    return networks.ours if dtype == torch.float32 else copy.deepcopy(networks.ours).to(dtype)


def _timm(networks: Networks, dtype: torch.dtype) -> nn.Module:
    return networks.timm().to(dtype)


def _timm_channels_last(networks: Networks, dtype: torch.dtype) -> nn.Module:
    return networks.timm().to(dtype=dtype, memory_format=torch.channels_last)


def _accelerated(backend: str) -> Callable[[Networks, torch.dtype], nn.Module]:
    return lambda networks, dtype: accelerate(networks.ours, dtype=dtype, backend=backend)


def _compiled(mode: str | None) -> Callable[[Networks, torch.dtype], Any]:
    return lambda networks, dtype: torch.compile(_plain(networks, dtype), mode=mode, dynamic=False)


UPSTREAM = System("upstream's HRNet", 'fp32', _upstream)
"""What the others are compared with: mmdet's HRNet and HRFPN, in segmentation mmseg's HRNet, run by PyTorch eagerly."""
PYRAMID: tuple[Kind, ...] = ('pyramid',)

SYSTEMS: tuple[System, ...] = (
    UPSTREAM,
    System(UPSTREAM.name, 'bf16', _upstream, PYRAMID, ('cuda',)),
    System(UPSTREAM.name, 'fp16', _upstream, PYRAMID, ('cuda',)),
    System('ours, plain', 'fp32', _plain),
    System('ours, accelerated', 'fp32', _accelerated('eager')),
    System('ours, accelerated', 'bf16', _accelerated('eager')),
    System('ours, accelerated', 'fp16', _accelerated('eager'), devices=('cuda',)),
    System('timm', 'fp32', _timm, PYRAMID, packages=('timm',)),
    System('timm, channels_last', 'fp32', _timm_channels_last, PYRAMID, packages=('timm',)),
    System('ours, onnxruntime', 'fp32', _accelerated('onnxruntime'), devices=('cpu',), packages=('onnxruntime',)),
    System('ours, openvino', 'fp32', _accelerated('openvino'), devices=('cpu',), packages=('openvino',)),
    System('ours, openvino', 'bf16', _accelerated('openvino'), devices=('cpu',), packages=('openvino',)),
    System('ours, inductor', 'fp32', _accelerated('inductor'), compiles=True),
    System('ours, inductor', 'bf16', _accelerated('inductor'), compiles=True),
    *(
        System(name, dtype, _compiled(mode), PYRAMID, devices, compiles=True)
        for name, mode in (('torch.compile', None), ('torch.compile, max-autotune', 'max-autotune'))
        for dtype, devices in (('fp32', ('cpu', 'cuda')), ('bf16', ('cuda',)), ('fp16', ('cuda',)))
    ),
)
"""All of them, the fast to prepare first. ``ours, inductor`` is what a ``pt2`` package runs."""


def dtype_of(system: System) -> torch.dtype:
    """Its precision."""
    return DTYPES[system.dtype]
