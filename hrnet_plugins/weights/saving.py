"""Write a checkpoint file completely or not at all."""

from __future__ import annotations

import glob
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hrnet_plugins.leftovers import remove_leftovers
from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.checkpoint_io import META, safetensors_library


def save(
    state: Mapping[str, Tensor],
    path: str | os.PathLike[str],
    *,
    meta: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a state dict completely or not at all: to a temporary file beside ``path``, which is then renamed.

    Args:
        state: Tensors by key.
        path: The file. Its suffix chooses how it is written: ``.safetensors`` or ``.pth``.
        meta: What to store beside it, as mmengine does: ``dict(dataset_meta=...)`` or an empty dictionary. ``None``
            writes the state dict alone, as files of other formats are.
        metadata: Texts to keep in a ``.safetensors`` file, which ``read_metadata`` reads. The other kind has no place
            for them.

    Raises:
        ValueError: If it has neither suffix.
        FileNotFoundError: If its folder does not exist.
        OSError: If the file cannot be written there.
    """
    path = Path(path)
    if path.suffix not in ('.safetensors', '.pth'):
        raise ValueError(f'`path` ({path}) must end in .safetensors or .pth, which says how to write it')
    if not path.parent.is_dir():
        raise FileNotFoundError(f'`path` ({path}) is in a folder that does not exist: make {path.parent}')
    # Copies: safetensors refuses tensors that share memory, and torch would write all of the memory behind a view.
    copies = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    if path.is_dir():
        raise IsADirectoryError(f'`path` ({path}) is a folder: name a file')
    remove_leftovers(path.parent, f'.{glob.escape(path.name)}.*')
    try:
        handle, name = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    except OSError as error:
        raise OSError(f'`path` ({path}) cannot be written: {error.strerror}') from None
    os.close(handle)
    temporary = Path(name)
    try:
        _write(copies, temporary, path, meta=meta, metadata=metadata)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # as for any new file; a temporary one is readable by its owner only
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write(
    state: State, file: Path, target: Path, *, meta: Mapping[str, Any] | None, metadata: Mapping[str, str] | None
) -> None:
    """Write a file to the disk, so that a name that it gets afterwards never means a half of it."""
    try:
        if target.suffix == '.pth':
            torch.save(state if meta is None else dict(state_dict=state, meta=dict(meta)), file)
        else:
            texts = {**(metadata or {}), **({} if meta is None else {META: json.dumps(meta)})}
            safetensors_library().save_file(state, file, metadata=texts or None)
        with file.open('rb') as written:
            os.fsync(written.fileno())
    except (OSError, RuntimeError) as error:  # torch's writer and safetensors' raise errors of their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise OSError(f'`path` ({target}) cannot be written: {reason}') from None
    except Exception as error:
        if type(error).__name__ != 'SafetensorError':
            raise
        raise OSError(f'`path` ({target}) cannot be written: {error}') from None
