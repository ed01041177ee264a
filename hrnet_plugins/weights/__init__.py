"""Published HRNet checkpoints: find them by name, read them safely, convert their names and values, write them.

Reading and writing need torch only. Converting compares with our backbone, which needs mmcv. Names are imported when
they are first used, so the catalog of weights can be listed without importing torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_plugins.state_dicts import check_against
    from hrnet_plugins.weights.checkpoint_io import load_content, load_state_dict
    from hrnet_plugins.weights.conversion import convert
    from hrnet_plugins.weights.detect_arch import arch_of
    from hrnet_plugins.weights.formats import FORMATS
    from hrnet_plugins.weights.recognition import recognise
    from hrnet_plugins.weights.report import Report
    from hrnet_plugins.weights.saving import save

__all__ = [
    'FORMATS',
    'Report',
    'arch_of',
    'check_against',
    'convert',
    'load_content',
    'load_state_dict',
    'recognise',
    'save',
]

# No module here may have one of these names: importing it would put the module in the place of the function.
_MODULES = {
    'FORMATS': 'hrnet_plugins.weights.formats',
    'Report': 'hrnet_plugins.weights.report',
    'arch_of': 'hrnet_plugins.weights.detect_arch',
    'check_against': 'hrnet_plugins.state_dicts',
    'convert': 'hrnet_plugins.weights.conversion',
    'load_content': 'hrnet_plugins.weights.checkpoint_io',
    'load_state_dict': 'hrnet_plugins.weights.checkpoint_io',
    'recognise': 'hrnet_plugins.weights.recognition',
    'save': 'hrnet_plugins.weights.saving',
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
