"""From a name such as ``hrnet://w32`` to a state dict, by way of the user's folder, the cache, or a mirror."""

from __future__ import annotations

import difflib
import logging
import os
import tempfile
from pathlib import Path

from filelock import FileLock
from torch import Tensor

from hrnet_plugins.weights.catalog import CATALOG, Source, Weight
from hrnet_plugins.weights.convert import convert
from hrnet_plugins.weights.download import DownloadError, download
from hrnet_plugins.weights.loading import load_state_dict, save

SCHEME = 'hrnet://'
FOLDER_VARIABLE = 'HRNET_PLUGINS_WEIGHTS'
CACHE_VARIABLE = 'HRNET_PLUGINS_CACHE'
_SUFFIXES = ('.safetensors', '.pth', '.pth.tar', '.pdparams')
_BACKBONE = 'backbone.'

log = logging.getLogger(__name__)


def load(name: str) -> dict[str, Tensor]:
    """The state dict of a named weight, in OpenMMLab's names.

    Looked for, in order: in the folder that ``HRNET_PLUGINS_WEIGHTS`` names, as ``NAME.pth`` (or another known
    suffix) or under the name that a source gives it; in the cache; at each source of the catalog. What is fetched
    is converted and cached, in ``HRNET_PLUGINS_CACHE`` or ``~/.cache/hrnet_plugins``, by one process at a time; where
    that cannot be written to, it serves this process only.

    Args:
        name: A name of ``CATALOG``, with or without ``hrnet://``.

    Raises:
        ValueError: If the name is unknown, or a file of the user's folder is not what it should be.
        FileNotFoundError: If no source has it, with the reason each of them gave.
    """
    name = name.removeprefix(SCHEME)
    if name not in CATALOG:
        close = difflib.get_close_matches(name, CATALOG, n=3)
        hint = f'did you mean {", ".join(close)}?' if close else 'see `hrnet-plugins weights`'
        raise ValueError(f'`name` ({name}) is no known weight; {hint}')
    weight = CATALOG[name]
    own = _in_folder(name, weight)
    if own is not None:
        path, source = own
        return _converted(path, weight, source)
    try:
        cached = cache_folder() / f'{name}.safetensors'
        state = _cached(cached)
        if state is not None:
            return state
        cached.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cached.with_suffix('.lock')).acquire()
    except (OSError, NotImplementedError) as error:  # filelock raises the latter where a file system has no locks
        log.warning('%s cannot be kept in the cache: %s', name, error)
        return _fetch(name, weight, None)
    with lock:
        state = _cached(cached)  # by the process that had the lock before
        if state is None:
            state = _fetch(name, weight, cached.parent)
            try:
                save(state, cached)
            except Exception as error:  # of the disk, by whichever library writes
                log.warning('%s cannot be kept in the cache: %s', name, error)
    return state


def cache_folder() -> Path:
    """Where converted weights are kept; it may not be there yet.

    Raises:
        OSError: If no variable names a folder and the user has no home, as in some containers.
    """
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    try:
        base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    except RuntimeError:
        raise OSError(f'the user has no home: set {CACHE_VARIABLE} to a folder') from None
    return Path(base) / 'hrnet_plugins'


def _cached(path: Path) -> dict[str, Tensor] | None:
    if not path.exists():
        return None
    try:
        return load_state_dict(path)
    except ValueError as error:
        log.warning('%s; fetching it again', error)
        return None


def _in_folder(name: str, weight: Weight) -> tuple[Path, Source | None] | None:
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise ValueError(f'{FOLDER_VARIABLE} ({named}) is not a folder')
    candidates: list[tuple[Path, Source | None]] = [(folder / f'{name}{suffix}', None) for suffix in _SUFFIXES]
    candidates += [(folder / source.file, source) for source in weight.sources]
    return next((pair for pair in candidates if pair[0].is_file()), None)


def _fetch(name: str, weight: Weight, folder: Path | None) -> dict[str, Tensor]:
    """The state dict from the first source that has it, by way of a temporary folder, in ``folder`` if given."""
    failures = []
    for source in weight.sources:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f'{name}.') as place:
            try:
                path = download(source.url, Path(place) / os.path.basename(source.file), sha256=source.sha256)
                return _converted(path, weight, source)
            except (DownloadError, ValueError) as error:
                log.warning('%s: %s', source.url, error)
                failures.append(f'  {source.url}: {error}')
    tried = '\n'.join(failures)
    raise FileNotFoundError(
        f'{SCHEME}{name} could not be had from any of its sources:\n{tried}\n'
        f'Put a copy you have into a folder, as {name}.pth, and set {FOLDER_VARIABLE} to that folder; '
        f'or give the path of the file as the checkpoint. It is published by {weight.origin}'
    )


def _converted(path: Path, weight: Weight, source: Source | None) -> dict[str, Tensor]:
    named = source.format if source is not None else ''
    state, _ = convert(load_state_dict(path), named or None)
    if weight.part == 'model':
        return state
    return {key.removeprefix(_BACKBONE): value for key, value in state.items() if key.startswith(_BACKBONE)}
