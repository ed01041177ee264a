"""Read the state dict in a checkpoint file safely: no code that it contains or refers to is ever run."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.recipes import plain_meta
from hrnet_plugins.safe_globals import allow_mmengine_checkpoints
from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.limits import check_archive, check_tensors
from hrnet_plugins.weights.pickles import foreign_globals, read_arrays
from hrnet_plugins.weights.safe_globals import unsafe_globals_in_legacy_checkpoint
from hrnet_plugins.weights.trust import TRUST_VARIABLE, is_trusted

_ZIP = b'PK\x03\x04'
"""First bytes of a zip archive, which PyTorch writes since 1.6."""
_LEGACY_TORCH = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
"""First bytes of a file of PyTorch before 1.6: a pickle of its magic number."""

META = 'meta'
"""Name under which the metadata of a safetensors file has mmengine's ``meta``, as JSON."""

WRAPPERS = ('state_dict', 'model')
"""Keys under which training programs store the state dict, beside the optimizer, the epoch and the like: the first is
what most use, the second is maskrcnn-benchmark's."""


def load_state_dict(path: str | os.PathLike[str]) -> State:
    """Read the state dict in a file: safetensors, PyTorch (old and new), or PaddleClas ``.pdparams``.

    The kind of file is recognised from its content, not from its name. The optimizer, the epoch and the like are left
    out.

    Args:
        path: The file.

    Returns:
        Tensors by key, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, cut off, not a checkpoint, or asks for more than tensors. In the last case the
            message lists what it asks for.
    """
    return load_with_meta(path)[0]


def load_with_meta(path: str | os.PathLike[str]) -> tuple[State, dict[str, Any]]:
    """Read the state dict in a file, and what is stored beside it of the data set it was trained on.

    Args:
        path: As for ``load_state_dict``.

    Returns:
        The state dict, and ``dict(dataset_meta=dict(classes=..., palette=...))`` as mmengine stores it, or an empty
        dictionary where the file does not say.

    Raises:
        FileNotFoundError: As ``load_state_dict``.
        ValueError: As ``load_state_dict``.
    """
    path = Path(path)
    content = load_content(path)
    state = _unwrapped(content, path)
    try:
        check_tensors(state, path.stat().st_size)
    except ValueError as error:
        raise ValueError(f'`path` ({path}) is no checkpoint of an HRNet: it holds {error}') from None
    return {key: value.detach() for key, value in state.items()}, dataset_meta_in(content)


def load_content(path: str | os.PathLike[str], *, map_location: Any = 'cpu') -> Any:
    """Read all that a file of the kinds of ``load_state_dict`` holds, safely: the optimizer and the epoch as well.

    Args:
        path: The file.
        map_location: Where the tensors go, as for ``torch.load``; a device for files that are not PyTorch's.

    Returns:
        What was stored: a checkpoint of mmengine, or a state dict. A ``.safetensors`` file becomes a checkpoint with
        ``state_dict`` and ``meta``.

    Raises:
        FileNotFoundError: As ``load_state_dict``.
        ValueError: As ``load_state_dict``, except that nothing is said of what the content is.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'`path` ({path}) is not a file: check its name')
    with path.open('rb') as file:
        start = file.read(16)
    if not start:
        raise ValueError(f'`path` ({path}) is empty: download or copy it again')
    if start.startswith(_ZIP):
        return _load_zip(path, map_location)
    if start.startswith(_LEGACY_TORCH[: len(start)]):
        return _load_torch(path, unsafe_globals_in_legacy_checkpoint, map_location)
    if start[8:9] == b'{':
        return _load_safetensors(path, map_location)
    if start.startswith(b'\x80'):
        return _moved(_load_arrays(path), map_location)
    raise ValueError(
        f'`path` ({path}) is no checkpoint: it is neither safetensors nor a PyTorch or Paddle file (it starts with '
        f'{start!r}). A download page saved instead of the file looks like this: download it again'
    )


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts that a ``.safetensors`` file holds beside its tensors.

    Args:
        path: The file.

    Raises:
        ValueError: If it is damaged, or of another kind.
    """
    path = Path(path)
    library = safetensors_library()
    try:
        with library.safe_open(path, 'pt') as file:
            return dict(file.metadata() or {})
    except Exception as error:  # as the reading library raises it
        raise _damaged(path, error) from None


def _load_zip(path: Path, map_location: Any) -> Any:
    try:
        check_archive(path)
    except Exception as error:  # zipfile raises errors of several types for damaged archives
        raise _damaged(path, error) from None
    return _load_torch(path, torch.serialization.get_unsafe_globals_in_checkpoint, map_location)


def _load_torch(path: Path, unsafe_globals: Callable[[Path], list[str]], map_location: Any) -> Any:
    if is_trusted():
        return torch.load(path, map_location=map_location, weights_only=False)
    allow_mmengine_checkpoints()
    try:
        names = sorted(unsafe_globals(path))
    except Exception as error:  # a damaged file raises errors of many types
        raise _damaged(path, error) from None
    if names:
        raise _refused(path, names)
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:
        raise _damaged(path, error) from None


def _load_arrays(path: Path) -> State:
    try:
        names = foreign_globals(path)
    except Exception as error:
        raise _damaged(path, error) from None
    if names:
        raise _refused(path, names)
    try:
        return read_arrays(path)
    except pickle.UnpicklingError as error:
        raise ValueError(f'`path` ({path}) is no checkpoint: its pickle holds {error}') from None
    except Exception as error:
        raise _damaged(path, error) from None


def _moved(state: State, map_location: Any) -> State:
    if isinstance(map_location, (str, torch.device)):
        return {key: value.to(map_location) for key, value in state.items()}
    return state


def _load_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    library = safetensors_library()
    try:
        device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
        state = library.load_file(path, device=device)
        with library.safe_open(path, framework='pt') as file:
            texts = file.metadata() or {}
        meta = json.loads(texts.get(META, '{}'))
    except Exception as error:
        raise _damaged(path, error) from None
    return dict(state_dict=state, meta=meta if isinstance(meta, dict) else {})


def dataset_meta_in(content: Any) -> dict[str, Any]:
    """The classes and palette that a checkpoint of OpenMMLab's stores, old or new, as ``dict(dataset_meta=...)``."""
    meta = content.get('meta') if isinstance(content, Mapping) else None
    if not isinstance(meta, Mapping):
        return {}
    stored = meta.get('dataset_meta')
    return plain_meta(stored if isinstance(stored, Mapping) else meta)  # CLASSES and PALETTE before 2023


def safetensors_library() -> Any:
    """The module ``safetensors.torch``.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import safetensors.torch  # noqa: PLC0415  (optional)
    except ImportError:
        raise ValueError('.safetensors files need the package: pip install safetensors') from None
    return safetensors.torch


def _refused(path: Path, names: list[str]) -> ValueError:
    return ValueError(
        f'`path` ({path}) asks for {", ".join(names)}, which is more than tensors: it was refused, and nothing of it '
        "was run. Save the state dict alone: torch.save(model.state_dict(), 'new.pth'); or, where you trust whoever "
        f'made the file, say so with --trust or {TRUST_VARIABLE}=1'
    )


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = str(error).strip().splitlines()
    return ValueError(
        f'`path` ({path}) is damaged, cut off or no checkpoint ({type(error).__name__}'
        f'{": " + reason[0] if reason else ""}): download or copy it again'
    )


def _unwrapped(content: Any, path: Path) -> State:
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f'`path` ({path}) holds no state dict but {_type_of(content)}: name a checkpoint of a model')
    wrong = [str(key) for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(
            f'`path` ({path}) holds entries that are no tensors: {", ".join(wrong)}. A state dict is expected, bare or '
            f'under one of the keys {", ".join(WRAPPERS)}'
        )
    return dict(content)


def _type_of(content: Any) -> str:
    return 'an empty dict' if isinstance(content, Mapping) else f'a {type(content).__name__}'
