"""The HRNet family for the OpenMMLab stack.

    import hrnet_plugins as hp

    backbone = hp.create_backbone('w32', pretrained=True)
    model = hp.create_model('faster-rcnn_hrnetv2p-w18_1x_coco', checkpoint='epoch_12.pth')

What is public is here. It is imported when it is first asked for: importing this package imports neither torch nor any
framework.
"""

from __future__ import annotations

import importlib

from hrnet_plugins.import_hooks import when_imported

TYPE_CHECKING = False  # editors and mypy take it for True, as typing's, whose import takes longer than all of this
if TYPE_CHECKING:
    from typing import Any

    from hrnet_plugins.archs import ARCHS as ARCHS
    from hrnet_plugins.archs import HRNetArch as HRNetArch
    from hrnet_plugins.archs import Stage as Stage
    from hrnet_plugins.hub import create_backbone as create_backbone
    from hrnet_plugins.hub import create_model as create_model
    from hrnet_plugins.hub import list_archs as list_archs
    from hrnet_plugins.hub import list_recipes as list_recipes
    from hrnet_plugins.hub import list_weights as list_weights
    from hrnet_plugins.hub import load_weights as load_weights
    from hrnet_plugins.inference.accelerate import accelerate as accelerate
    from hrnet_plugins.inference.exporting import export as export
    from hrnet_plugins.models.hr_fuse import HRFuseScales as HRFuseScales
    from hrnet_plugins.models.hrfpn import HRFPN as HRFPN
    from hrnet_plugins.models.hrnet import HRNet as HRNet
    from hrnet_plugins.prediction.predict import predict as predict
    from hrnet_plugins.weights.conversion import convert as convert

__version__ = '0.2.0'

_HOME = {
    'ARCHS': 'archs',
    'HRFPN': 'models.hrfpn',
    'HRFuseScales': 'models.hr_fuse',
    'HRNet': 'models.hrnet',
    'HRNetArch': 'archs',
    'Stage': 'archs',
    'accelerate': 'inference.accelerate',
    'convert': 'weights.conversion',
    'create_backbone': 'hub',
    'create_model': 'hub',
    'export': 'inference.exporting',
    'list_archs': 'hub',
    'list_recipes': 'hub',
    'list_weights': 'hub',
    'load_weights': 'hub',
    'predict': 'prediction.predict',
}
"""The module of each public name."""

__all__ = [*_HOME, '__version__']  # noqa: PLE0604, all are strings

# mmengine learns names such as `hrnet://w32` and the storage backend `zip` as soon as it is imported.
when_imported('mmengine.runner.checkpoint', 'hrnet_plugins.mmengine_hooks', 'register_checkpoints')
when_imported('mmengine.runner.runner', 'hrnet_plugins.mmengine_hooks', 'register_runner')
when_imported('mmengine.fileio', 'hrnet_plugins.mmengine_hooks', 'register_storage')


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        import difflib  # noqa: PLC0415, slow to import

        close = difflib.get_close_matches(name, __all__, n=3)
        hint = f'did you mean {", ".join(close)}?' if close else f'it has {", ".join(_HOME)}'
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}; {hint}')
    value = getattr(importlib.import_module(f'{__name__}.{_HOME[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
