"""What lets workers started with ``spawn`` read from zip files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import pseudo_collate

import hrnet_plugins.io  # noqa: F401, the backend is registered by the import
from hrnet_plugins.registry import FUNCTIONS


@FUNCTIONS.register_module()
def zip_collate(batch: Sequence[Any]) -> Any:
    """Collate as mmengine does by default; with it a spawned worker knows the zip backend.

    Such a worker knows only what it unpickles, and of a backend that is a name: this function brings its module.
    """
    return pseudo_collate(batch)
