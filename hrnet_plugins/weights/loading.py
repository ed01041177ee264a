"""Read checkpoints without running anything that is in them, and write them whole or not at all."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.pickles import foreign_globals, pickle_globals, read_arrays

_ZIP = b'PK\x03\x04'
_LEGACY_TORCH = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
"""A pickle of the magic number that PyTorch before 1.6 starts a file with."""

WRAPPERS = ('state_dict', 'model')
"""Keys under which a checkpoint holds its state dict, beside optimizer and epoch: most programs', and
maskrcnn-benchmark's."""


def load_state_dict(path: str | os.PathLike[str]) -> State:
    """Read the state dict in a file: safetensors, PyTorch (old and new), or PaddleClas ``.pdparams``.

    What the file is is read from its content, not its name. Optimizer, epoch and the like are left out. No code
    that a file asks for ever runs.

    Args:
        path: The file.

    Returns:
        Tensors by key, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is empty, cut off, no checkpoint, or asks for more than tensors: the message lists what.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'`path` ({path}) is not a file: check its name')
    with path.open('rb') as file:
        start = file.read(16)
    if not start:
        raise ValueError(f'`path` ({path}) is empty: download or copy it again')
    if start.startswith(_ZIP):
        content = _load_torch(path, torch.serialization.get_unsafe_globals_in_checkpoint)
    elif start.startswith(_LEGACY_TORCH[: len(start)]):
        content = _load_torch(path, _foreign_to_torch)
    elif start[8:9] == b'{':
        content = _load_safetensors(path)
    elif start.startswith(b'\x80'):
        content = _load_arrays(path)
    else:
        raise ValueError(
            f'`path` ({path}) is no checkpoint: it is neither safetensors nor a PyTorch or Paddle file (it starts '
            f'with {start!r}). A download page saved instead of the file looks like this: download it again'
        )
    return _unwrapped(content, path)


def save(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> None:
    """Write a state dict, whole or not at all: to a temporary file beside ``path``, which is then renamed.

    Args:
        state: Tensors by key.
        path: The file; ``.safetensors`` or ``.pth`` says in which format.

    Raises:
        ValueError: If the name ends in neither.
        FileNotFoundError: If its folder does not exist.
    """
    path = Path(path)
    if path.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'`path` ({path}) must end in .safetensors or .pth, which says how to write it')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'`path` ({path}) is in a folder that does not exist: make {path.parent}')
    # Tensors of their own: safetensors refuses shared memory, and torch would write the whole of it.
    owned = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        if path.suffix == '.pth':
            torch.save(owned, temporary)
        else:
            _safetensors().save_file(owned, temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # as any new file: a temporary one is for its owner only
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _load_torch(path: Path, foreign: Callable[[Path], list[str]]) -> Any:
    _allow_training_checkpoints()
    try:
        names = sorted(foreign(path))
    except Exception as error:  # a broken file breaks its readers in many ways
        raise _broken(path, error) from None
    if names:
        raise _refused(path, names)
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise _broken(path, error) from None


def _load_arrays(path: Path) -> State:
    try:
        names = foreign_globals(path)
    except Exception as error:
        raise _broken(path, error) from None
    if names:
        raise _refused(path, names)
    try:
        return read_arrays(path)
    except pickle.UnpicklingError as error:
        raise ValueError(f'`path` ({path}) is no checkpoint: its pickle holds {error}') from None
    except Exception as error:
        raise _broken(path, error) from None


def _load_safetensors(path: Path) -> State:
    library = _safetensors()
    try:
        return library.load_file(path)
    except Exception as error:
        raise _broken(path, error) from None


def _safetensors() -> Any:
    try:
        import safetensors.torch  # noqa: PLC0415  (optional)
    except ImportError:
        raise ValueError('.safetensors files need the package: pip install safetensors') from None
    return safetensors.torch


def _allow_training_checkpoints() -> None:
    """Where mmengine is installed, accept the plain data that its training checkpoints hold."""
    try:
        from hrnet_plugins.checkpoints import allow_mmengine_checkpoints  # noqa: PLC0415  (needs mmengine)
    except ImportError:
        return
    allow_mmengine_checkpoints()


_TORCH_SAFE = (
    *('torch._utils._rebuild_', 'torch.Size', 'torch.device', 'torch.float', 'torch.int'),
    *('collections.OrderedDict', 'collections.Counter', '_codecs.encode'),
)
"""Beginnings of names that PyTorch's safe loading accepts; it has the last word."""


def _foreign_to_torch(path: Path) -> list[str]:
    """What a file written before PyTorch 1.6 names beside tensors; the list for newer ones comes from PyTorch."""
    allowed = {f'{f.__module__}.{f.__qualname__}' for f in torch.serialization.get_safe_globals() if callable(f)}
    allowed |= {f[1] for f in torch.serialization.get_safe_globals() if isinstance(f, tuple)}
    return [
        name
        for name in pickle_globals(path)
        if name not in allowed
        and not name.startswith(_TORCH_SAFE)
        and not (name.startswith('torch.') and name.endswith('Storage'))
    ]


def _refused(path: Path, names: list[str]) -> ValueError:
    return ValueError(
        f'`path` ({path}) asks for {", ".join(names)}, which is more than tensors: it was refused, and nothing of it '
        "was run. Save the state dict alone where you trust the file: torch.save(model.state_dict(), 'new.pth')"
    )


def _broken(path: Path, error: Exception) -> ValueError:
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
        raise ValueError(f'`path` ({path}) holds no state dict but {_what(content)}: name a checkpoint of a model')
    wrong = [str(key) for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(
            f'`path` ({path}) holds entries that are no tensors: {", ".join(wrong)}. A state dict is expected, bare or '
            f'under one of the keys {", ".join(WRAPPERS)}'
        )
    return {key: value.detach() for key, value in content.items()}


def _what(content: Any) -> str:
    return 'an empty dict' if isinstance(content, Mapping) else f'a {type(content).__name__}'
