"""Configs, which take tenths of a second to read and are read by many tests."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

from mmengine.config import Config


def config_of(path: Path) -> Config:
    """The config in a file, read once a process: a copy that the caller may change."""
    return copy.deepcopy(_read(path))


@cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)
