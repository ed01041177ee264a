"""Upstream's classes, also while the drop-in stands under their names."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

FRAMEWORKS = ('mmdet', 'mmseg', 'mmpretrain')


def upstream(framework: str, name: str = 'HRNet') -> type[nn.Module]:
    """A class of a framework's own."""
    return getattr(importlib.import_module(f'{framework}.models'), name)


@contextmanager
def given_back() -> Iterator[None]:
    """Restore the frameworks' registries at the end: importing the drop-in changes them."""
    for framework in FRAMEWORKS:
        importlib.import_module(f'{framework}.models')
    registries = [importlib.import_module(f'{framework}.registry').MODELS for framework in FRAMEWORKS]
    before = [dict(registry._module_dict) for registry in registries]
    try:
        yield
    finally:
        for registry, modules in zip(registries, before, strict=True):
            registry._module_dict.clear()
            registry._module_dict.update(modules)


def register_upstreams() -> None:
    """Put upstream's classes behind their own names again, which the drop-in takes for all of a process."""
    classes = {
        'mmdet': {'HRNet': 'backbones.hrnet', 'HRFPN': 'necks.hrfpn'},
        'mmseg': {'HRNet': 'backbones.hrnet'},
        'mmpretrain': {'HRNet': 'backbones.hrnet', 'HRFuseScales': 'necks.hr_fuse'},
    }
    for framework, modules in classes.items():
        registry = importlib.import_module(f'{framework}.registry').MODELS
        for name, module in modules.items():
            upstreams = getattr(importlib.import_module(f'{framework}.models.{module}'), name)
            registry.register_module(name=name, module=upstreams, force=True)
