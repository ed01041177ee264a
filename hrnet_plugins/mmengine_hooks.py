"""What mmengine is taught as soon as it is imported; ``hrnet_plugins/__init__.py`` asks for it.

Of the library no more is imported than mmengine needs at that moment.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from hrnet_plugins.safe_globals import allow_mmengine_checkpoints


def register_checkpoints(checkpoint: ModuleType) -> None:
    """Let mmengine load names such as ``hrnet://w32``, and torch what mmengine's own checkpoints hold.

    The names then work as ``load_from`` and in ``init_cfg=dict(type='Pretrained', checkpoint='hrnet://w32')``.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``.
    """
    allow_mmengine_checkpoints()
    checkpoint.CheckpointLoader.register_scheme(prefixes='hrnet://', loader=load_from_hrnet, force=True)


# mmengine's log takes the backend's name from the name of this function: what follows `load_from_`.
def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """See ``hrnet_plugins.weights.hub.load_from_hrnet``."""
    from hrnet_plugins.weights import hub  # noqa: PLC0415, most runs load no named weight

    return hub.load_from_hrnet(filename, map_location)


def register_storage(fileio: ModuleType) -> None:
    """Give mmengine the storage backend ``zip``, which registers itself.

    Args:
        fileio: The package ``mmengine.fileio``.
    """
    importlib.import_module('hrnet_plugins.io')
