"""The cache of converted weights: one file a weight, which knows what it is and whether it is still what was written.

A file's metadata holds the catalog's row, the source it was fetched from, the version of the conversion that made it,
and a checksum of all of its content. What does not agree is not used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.catalog import Source, Weight, row_of
from hrnet_plugins.weights.checkpoint_io import load_state_dict, read_metadata
from hrnet_plugins.weights.conversion import VERSION
from hrnet_plugins.weights.saving import save

VARIABLE = 'HRNET_PLUGINS_CACHE'
"""Environment variable that names the cache."""
_CHECKSUM = 'sha256'

log = logging.getLogger(__name__)


def folder() -> Path:
    """The folder in which converted weights are kept. It may not exist yet.

    Raises:
        OSError: If no environment variable names a folder and the user has no home, as in some containers.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    try:
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    except RuntimeError:
        raise OSError(f'the user has no home: set {VARIABLE} to a folder') from None
    return Path(base) / 'hrnet_plugins'


def write(state: State, path: Path, *, name: str, weight: Weight, source: Source) -> None:
    """Write a converted weight, completely or not at all.

    Args:
        state: Tensors by key.
        path: The file, which ends in ``.safetensors``.
        name: The weight's name.
        weight: Its row.
        source: Where it was fetched.
    """
    facts = {
        'name': name,
        'row': json.dumps(row_of(name, weight)),
        'source': _identity(source),
        'part': weight.part,
        'conversion': str(VERSION),
    }
    save(state, path, metadata={**facts, _CHECKSUM: checksum(state, facts)})


def read(path: Path, weight: Weight, *, quiet: bool = False) -> State | None:
    """The weight in a file of the cache, or ``None`` if there is none that can be used. The log says why.

    Args:
        path: The file.
        weight: The weight's row now. A file fetched from what is no source of it any more is not used.
        quiet: Whether the log has been told before.
    """
    if not path.exists():
        return None
    try:
        state, facts = load_state_dict(path), read_metadata(path)
        reason = _reason_against(state, facts, weight)
    except ValueError as error:  # it begins with the path
        state, reason = {}, f'is not read: {error}'
    if not reason:
        return state
    if not quiet:
        log.warning('%s %s; fetching it again', path, reason)
    return None


def _reason_against(state: State, facts: Mapping[str, str], weight: Weight) -> str:
    """Why the content of a file is not used; empty if it is."""
    found = facts.get(_CHECKSUM)
    if found is None:
        return 'has no checksum'
    if found != checksum(state, {key: value for key, value in facts.items() if key != _CHECKSUM}):
        return 'was damaged after it was written: its content has another checksum'
    if facts['conversion'] != str(VERSION):
        return f'was made by version {facts["conversion"]} of the conversion, which is {VERSION} now'
    if facts['part'] != weight.part or facts['source'] not in map(_identity, weight.sources):
        return 'was fetched from what is no source of this weight now'
    return ''


def checksum(state: State, facts: Mapping[str, str]) -> str:
    """The SHA-256 of all that a file holds: keys, types, shapes and bytes of the tensors, and the metadata.

    Args:
        state: Tensors by key.
        facts: The metadata beside the checksum.
    """
    digest = hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode())
    for key in sorted(state):
        value = state[key].detach().cpu()
        digest.update(json.dumps([key, str(value.dtype), list(value.shape)]).encode())
        if value.numel():
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_checksum(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def seal(path: Path) -> None:
    """Write a file's checksum beside it, for ``is_sealed``."""
    _seal_of(path).write_text(file_checksum(path), encoding='ascii')


def is_sealed(path: Path) -> bool:
    """Whether a file has the checksum that stands beside it. If not, the log says so."""
    try:
        if _seal_of(path).read_text(encoding='ascii') == file_checksum(path):
            return True
        reason = 'was damaged after it was written: it has another checksum'
    except (OSError, ValueError):
        reason = 'has no checksum'
    log.warning('%s %s; fetching it again', path, reason)
    return False


def _seal_of(path: Path) -> Path:
    return path.with_name(f'{path.name}.sha256')


def _identity(source: Source) -> str:
    """What of a source decides what a conversion makes of its file."""
    return json.dumps({key: value for key, value in asdict(source).items() if key != 'size'}, sort_keys=True)
