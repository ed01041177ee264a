"""The classes that mmengine's own checkpoints hold beside tensors, for torch's safe loading.

Since torch 2.6 ``torch.load`` runs with ``weights_only=True``: it builds only what is in its list of safe classes
("safe globals"). This is added as soon as mmengine is imported, so the module imports little: torch and NumPy.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

_STATISTICS = ('min', 'max', 'current', 'mean')
"""Methods that a pickled ``HistoryBuffer`` of mmengine refers to by name."""


def allow_mmengine_checkpoints() -> None:
    """Add what mmengine stores beside tensors, its log history, to torch's list of safe classes.

    Without this mmengine 0.10.7 cannot test or resume from its own checkpoints with torch 2.6 or newer. The classes
    that are added only hold data. A file that asks for anything else is still refused, and ``weights_only`` stays on.
    Where mmengine is not installed, nothing is added. Calling it again changes nothing.
    """
    try:
        from mmengine.logging.history_buffer import HistoryBuffer  # noqa: PLC0415  (may not be installed)
    except ImportError:
        return
    reconstruct: Callable[..., Any] = np.empty(0).__reduce__()[0]  # type: ignore[assignment]  # typed as a string
    scalar: Callable[..., Any] = np.float64(0).__reduce__()[0]  # type: ignore[assignment]  # typed as a string
    dtypes = {type(np.dtype(code)) for code in ('f8', 'f4', 'i8', 'i4', 'u1', '?')}
    # Files written with NumPy 1 name the module without its underscore.
    aliases = [(function, f'numpy.core.multiarray.{function.__name__}') for function in (reconstruct, scalar)]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, reconstruct, scalar, *dtypes, *aliases, (_statistic, 'builtins.getattr')]
    )


def _statistic(owner: Any, name: str) -> Callable[..., Any]:
    """Replace the ``getattr`` with which a pickled log history refers to its own four methods."""
    from mmengine.logging.history_buffer import HistoryBuffer  # noqa: PLC0415  (may not be installed)

    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'Weights only load failed: getattr({owner!r}, {name!r}) is not allowed')
    return getattr(HistoryBuffer, name)
