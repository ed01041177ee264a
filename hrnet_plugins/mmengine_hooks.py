"""What mmengine is taught as soon as it is imported; ``hrnet_plugins/__init__.py`` asks for it.

Of the library no more is imported than mmengine needs at that moment.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from hrnet_plugins.safe_globals import allow_mmengine_checkpoints


def register_checkpoints(checkpoint: ModuleType) -> None:
    """Let mmengine load names such as ``hrnet://w32``, and torch what mmengine's own checkpoints hold.

    The names then work as ``load_from`` and in ``init_cfg=dict(type='Pretrained', checkpoint='hrnet://w32')``, and so
    do ``.safetensors`` files. A checkpoint whose backbone does not reach that of the model is an error.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``.
    """
    allow_mmengine_checkpoints()
    register = checkpoint.CheckpointLoader.register_scheme
    register(prefixes='hrnet://', loader=load_from_hrnet, force=True)
    register(prefixes='', loader=_safetensors_too(checkpoint.load_from_local), force=True)
    vars(checkpoint)['load_state_dict'] = _backbones_fitted(checkpoint.load_state_dict)


# mmengine's log takes the backend's name from the name of this function: what follows `load_from_`.
def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """See ``hrnet_plugins.weights.hub.load_from_hrnet``."""
    from hrnet_plugins.weights import hub  # noqa: PLC0415, most runs load no named weight

    return hub.load_from_hrnet(filename, map_location)


def _safetensors_too(load: Callable[..., Any]) -> Callable[..., Any]:
    """The reading of local files, ``load``, with ``.safetensors`` as well."""

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        if not filename.endswith('.safetensors'):
            return load(filename, map_location)
        from hrnet_plugins.weights.checkpoint_io import load_content  # noqa: PLC0415, most runs load no such file

        return load_content(os.path.expanduser(filename), map_location=map_location)

    return load_from_local


def _backbones_fitted(load: Callable[..., None]) -> Callable[..., None]:
    """The loading into a model, ``load``, after ``hrnet_plugins.models.load_from.fit_backbones``."""

    @functools.wraps(load)
    def load_state_dict(module: Any, state_dict: Any, *args: Any, **options: Any) -> None:
        if 'hrnet_plugins.models.hrnet' in sys.modules:  # without it no model has an HRNet of ours
            from hrnet_plugins.models.load_from import fit_backbones  # noqa: PLC0415

            state_dict = fit_backbones(module, state_dict)
        load(module, state_dict, *args, **options)

    return load_state_dict


def register_storage(fileio: ModuleType) -> None:
    """Give mmengine the storage backend ``zip``, which registers itself.

    Args:
        fileio: The package ``mmengine.fileio``.
    """
    importlib.import_module('hrnet_plugins.io')
