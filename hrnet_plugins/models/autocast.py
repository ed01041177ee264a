"""Autocast where there is one: torch raises where it is asked for that of its meta device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def autocast_dtype(device: str) -> torch.dtype | None:
    """What autocast computes in on a kind of device, such as ``'cpu'``; ``None`` where it is off."""
    on = _has_autocast(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


def autocast(device: str, dtype: torch.dtype | None, *, cache_enabled: bool = True) -> AbstractContextManager[Any]:
    """A context in which autocast computes in ``dtype``; ``None`` turns it off.

    Args:
        device: A kind of device, such as ``'cpu'``.
        dtype: The precision.
        cache_enabled: Whether casts of weights are kept until the context ends.
    """
    if not _has_autocast(device) or (dtype is None and autocast_dtype(device) is None):
        return nullcontext()
    return torch.autocast(device, dtype=dtype, enabled=dtype is not None, cache_enabled=cache_enabled)


def _has_autocast(device: str) -> bool:
    return device != 'meta'  # ``torch.amp.is_autocast_available`` knows more, and torch.compile stops at it
