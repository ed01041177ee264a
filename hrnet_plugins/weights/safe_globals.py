"""Which functions and classes a checkpoint of an old PyTorch may ask for when it is loaded safely."""

from __future__ import annotations

from pathlib import Path

import torch

from hrnet_plugins.weights.pickles import pickle_globals

_TORCH_SAFE = (
    *('torch._utils._rebuild_', 'torch.Size', 'torch.device', 'torch.float', 'torch.int'),
    *('collections.OrderedDict', 'collections.Counter', '_codecs.encode'),
)
"""Names that PyTorch accepts without a list begin with one of these. PyTorch itself has the last word."""


def unsafe_globals_in_legacy_checkpoint(path: Path) -> list[str]:
    """Names in a file written by PyTorch before 1.6 that torch's safe loading would refuse.

    For newer files PyTorch has this function itself: ``torch.serialization.get_unsafe_globals_in_checkpoint``.

    Raises:
        Exception: Whatever ``pickletools`` says if the file holds no whole pickle.
    """
    allowed = {f'{f.__module__}.{f.__qualname__}' for f in torch.serialization.get_safe_globals() if callable(f)}
    allowed |= {f[1] for f in torch.serialization.get_safe_globals() if isinstance(f, tuple)}
    return [
        name
        for name in pickle_globals(path)
        if name not in allowed
        and not name.startswith(_TORCH_SAFE)
        and not (name.startswith('torch.') and name.endswith('Storage'))
    ]
