"""What mmengine's checkpoint loading needs to know: its own log history, and names like ``hrnet://w32``."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

_STATISTICS = ('min', 'max', 'current', 'mean')


def allow_mmengine_checkpoints() -> None:
    """Add what mmengine stores beside tensors (its log history) to torch's list of safe classes.

    Since torch 2.6 ``torch.load`` builds only listed classes, and mmengine 0.10.7 then cannot test or resume
    from its own checkpoints. The additions are plain data holders: a file that asks for anything else is
    still refused, and ``weights_only`` stays on.
    """
    reconstruct: Callable[..., Any] = np.empty(0).__reduce__()[0]  # type: ignore[assignment]  # typed as a string
    scalar: Callable[..., Any] = np.float64(0).__reduce__()[0]  # type: ignore[assignment]  # typed as a string
    dtypes = {type(np.dtype(code)) for code in ('f8', 'f4', 'i8', 'i4', 'u1', '?')}
    # Files written with NumPy 1 name the module without its underscore.
    aliases = [(function, f'numpy.core.multiarray.{function.__name__}') for function in (reconstruct, scalar)]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, reconstruct, scalar, *dtypes, *aliases, (_statistic, 'builtins.getattr')]
    )


def _statistic(owner: Any, name: str) -> Callable[..., Any]:
    """Stand in for the ``getattr`` through which a pickled log history names its own four methods."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'Weights only load failed: getattr({owner!r}, {name!r}) is not allowed')
    return getattr(HistoryBuffer, name)


def register_scheme() -> None:
    """Teach mmengine's checkpoint loader names: ``init_cfg=dict(type='Pretrained', checkpoint='hrnet://w32')``."""
    CheckpointLoader.register_scheme(prefixes='hrnet://', loader=load_from_hrnet, force=True)


def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a named weight; in a distributed run the first process fetches it and the others find it cached.

    mmengine's log names the backend by what follows ``load_from_`` in this function's name.
    """
    from hrnet_plugins.weights.resolver import load  # noqa: PLC0415, most runs load no named weight

    if get_rank() != 0:
        barrier()
    try:
        state = load(filename)
    finally:
        if get_rank() == 0:
            barrier()
    device = 'cpu' if map_location is None else map_location
    return dict(state_dict={key: value.to(device) for key, value in state.items()})
