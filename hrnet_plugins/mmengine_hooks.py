"""What mmengine is taught as soon as it is imported; ``hrnet_plugins/__init__.py`` asks for it.

Nothing of the library is imported before mmengine needs it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


def register_checkpoints(checkpoint: ModuleType) -> None:
    """Teach mmengine's checkpoint loading names such as ``hrnet://w32``, and torch's what mmengine's own files hold.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``.
    """
    from hrnet_plugins.checkpoints import allow_mmengine_checkpoints  # noqa: PLC0415, it imports torch

    checkpoint.CheckpointLoader.register_scheme(prefixes='hrnet://', loader=load_from_hrnet, force=True)
    allow_mmengine_checkpoints()


def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """See ``hrnet_plugins.weights.hub.load_from_hrnet``; mmengine's log names what follows ``load_from_``."""
    from hrnet_plugins.checkpoints import load_from_hrnet as load  # noqa: PLC0415, most runs load no named weight

    return load(filename, map_location)


def register_storage(fileio: ModuleType) -> None:
    """Give mmengine the storage backend ``zip``, which registers itself.

    Args:
        fileio: The package ``mmengine.fileio``.
    """
    importlib.import_module('hrnet_plugins.io')
