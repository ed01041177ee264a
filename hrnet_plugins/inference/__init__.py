"""Trained models at speed: accelerated in process, or exported as files for other runtimes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazily: a module has the function's name, and importing the module would put it in the function's place.
from hrnet_plugins.inference.accelerate import accelerate

if TYPE_CHECKING:
    from hrnet_plugins.inference.exportable import exportable_part
    from hrnet_plugins.inference.exporting import EXPORT_FORMATS, Export, export
    from hrnet_plugins.inference.part import Part
    from hrnet_plugins.inference.runtimes.backends import BACKENDS

__all__ = ['BACKENDS', 'EXPORT_FORMATS', 'Export', 'Part', 'accelerate', 'export', 'exportable_part']

_MODULES = {
    'BACKENDS': 'runtimes.backends',
    'EXPORT_FORMATS': 'exporting',
    'Export': 'exporting',
    'Part': 'part',
    'export': 'exporting',
    'exportable_part': 'exportable',
}
"""Where each name is, imported when it is first asked for: exporting needs recipes, weights and downloads."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
