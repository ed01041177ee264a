"""Load a published weight by its name, such as ``hrnet://w32``: from the user's folder, the cache, or a download."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

from hrnet_plugins.leftovers import remove_leftovers
from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights import cache
from hrnet_plugins.weights.catalog import CATALOG, SCHEME, Source, Weight, named
from hrnet_plugins.weights.checkpoint_io import load_state_dict, load_with_meta
from hrnet_plugins.weights.conversion import convert
from hrnet_plugins.weights.dataset_meta import meta_of_weight
from hrnet_plugins.weights.download import DownloadError, download
from hrnet_plugins.weights.locks import StuckError, bytes_below, exclusive

FOLDER_VARIABLE = 'HRNET_PLUGINS_WEIGHTS'
"""Environment variable that names the user's folder of weights."""
CACHE_VARIABLE = cache.VARIABLE
_SUFFIXES = ('.safetensors', '.pth', '.pth.tar', '.pdparams')
_BACKBONE = 'backbone.'

log = logging.getLogger(__name__)


def load(name: str) -> State:
    """The state dict of a named weight, with OpenMMLab's key names.

    It is looked for in this order:

    1. In the folder that ``HRNET_PLUGINS_WEIGHTS`` names: as ``NAME.pth`` (or another known suffix), or under the
       file name that a source of the catalog uses, whose hash it must then have.
    2. In the cache: ``HRNET_PLUGINS_CACHE``, or ``~/.cache/hrnet_plugins``. A file there that is damaged, or that an
       earlier version of the conversion made, is fetched again.
    3. At each source of the catalog. What is downloaded is converted and written to the cache, by one process at a
       time: the others wait while it goes on. If the cache cannot be written to, or that process is stuck, a warning
       says so and only this process has the weight.

    Args:
        name: A name of ``CATALOG``, with or without ``hrnet://``.

    Raises:
        ValueError: If the name is unknown, or a file in the user's folder is not a checkpoint of an HRNet.
        FileNotFoundError: If no source has it. The message gives the reason for each.
    """
    name = name.removeprefix(SCHEME)
    weight = named(name, CATALOG)
    own = _in_folder(name, weight)
    if own is not None:
        path, source = own
        return _converted(path, weight, source)
    try:
        cached = cache.folder() / f'{name}.safetensors'
        state = cache.read(cached, weight)
        if state is not None:
            return state
        cached.parent.mkdir(parents=True, exist_ok=True)
        lock = contextlib.ExitStack()
        lock.enter_context(
            exclusive(
                cached.with_suffix('.lock'),
                f'{SCHEME}{name} is fetched',
                work=lambda: bytes_below(*cached.parent.glob(f'*{name}.*')),
            )
        )
    except StuckError as error:
        log.warning('%s. Fetching a copy for this process only', error)
        return _fetch(name, weight, None)[0]
    except (OSError, NotImplementedError) as error:  # filelock raises the latter where a file system has no locks
        log.warning('%s cannot be kept in the cache: %s', name, error)
        return _fetch(name, weight, None)[0]
    with lock:
        for left in (f'{name}.*/', f'.{cached.name}.*'):  # of processes that were killed while they held the lock
            remove_leftovers(cached.parent, left, age=0)
        state = cache.read(cached, weight, quiet=True)  # by the process that held the lock before
        if state is None:
            state, source = _fetch(name, weight, cached.parent)
            try:
                cache.write(state, cached, name=name, weight=weight, source=source)
            except Exception as error:  # an error of the disk, as the writing library raises it
                log.warning('%s cannot be kept in the cache: %s', name, error)
    return state


def place_of(name: str) -> Literal['folder', 'cache', 'download']:
    """Where ``load`` would look for a named weight first; its file is not opened.

    Args:
        name: A name of ``CATALOG``.
    """
    own = os.environ.get(FOLDER_VARIABLE)
    if own and any(path.is_file() for path, _ in _own_files(Path(own), name, CATALOG[name])):
        return 'folder'
    return 'cache' if (cache.folder() / f'{name}.safetensors').is_file() else 'download'


def read(checkpoint: str) -> State:
    """The state dict of a checkpoint, wherever it is, with the key names it has there.

    Args:
        checkpoint: The path of a file; a name of ``CATALOG``, with or without ``hrnet://``; or an address, ``https`` or
            ``hf://OWNER/REPOSITORY``, whose file is kept in the cache.

    Raises:
        ValueError: If the name is unknown, or the file is no checkpoint.
        FileNotFoundError: If the file, the weight or the address cannot be had. The message gives the reason.
    """
    return read_with_meta(checkpoint)[0]


def read_with_meta(checkpoint: str) -> tuple[State, dict[str, Any]]:
    """As ``read``, with the classes and palette of the checkpoint as mmengine's ``meta`` has them, where known."""
    if checkpoint.startswith(('http://', 'https://', 'hf://')):
        return load_with_meta(file_of(checkpoint))
    path = Path(checkpoint)
    named = checkpoint.startswith(SCHEME) or not (
        path.exists() or path.name.endswith(_SUFFIXES) or path.name != checkpoint
    )
    if named:
        return load(checkpoint), meta_of_weight(checkpoint.removeprefix(SCHEME))
    return load_with_meta(path)


def file_of(url: str) -> Path:
    """The file of an address, in the cache."""
    digits = hashlib.sha256(url.encode()).hexdigest()[:16]
    folder = cache.folder() / 'files' / digits
    target = folder / os.path.basename(url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder.with_suffix('.lock'), f'{url} is fetched', work=lambda: bytes_below(folder)):
            found = next((path for path in folder.rglob('*') if path.is_file() and path.suffix in _SUFFIXES), None)
            if found is not None:
                if cache.is_sealed(found):
                    return found
                found.unlink()  # or huggingface_hub would take it for its own
            path = download(url, target)
            if path.is_relative_to(folder):
                cache.seal(path)
            return path
    except (DownloadError, StuckError) as error:
        raise FileNotFoundError(f'{url} could not be had: {error}') from None


def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Load a named weight as mmengine's checkpoint loader expects it: ``state_dict``, and classes in ``meta``.

    In a distributed run the first process downloads it, and the others then find it in the cache.

    Args:
        filename: The name, with ``hrnet://``.
        map_location: The device of the tensors; ``None`` means the CPU.

    Raises:
        ValueError: As ``load``.
        FileNotFoundError: As ``load``.
    """
    from mmengine.dist import barrier, get_rank  # noqa: PLC0415  (the rest of this room works without mmengine)

    if get_rank() != 0:
        barrier()
    try:
        state = load(filename)
    finally:
        if get_rank() == 0:
            barrier()
    device = 'cpu' if map_location is None else map_location
    tensors = {key: value.to(device) for key, value in state.items()}
    return dict(state_dict=tensors, meta=meta_of_weight(filename.removeprefix(SCHEME)))


def _in_folder(name: str, weight: Weight) -> tuple[Path, Source | None] | None:
    """The weight's file in the user's folder, and the source whose file name it has, if it has one's.

    Raises:
        ValueError: If there is no such folder, or the file is named after a source and has not its hash.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        raise ValueError(f'{FOLDER_VARIABLE} ({named}) is not a folder')
    found = next((pair for pair in _own_files(folder, name, weight) if pair[0].is_file()), None)
    if found is None:
        return None
    path, source = found
    if source is not None and source.sha256:
        digest = cache.file_checksum(path)
        if not digest.startswith(source.sha256):
            raise ValueError(
                f'{path} is not the file of {source.url}: its SHA-256 begins {digest[: len(source.sha256)]}, not '
                f'{source.sha256}. Copy it again; or if it is another file of yours, name it {name}.pth'
            )
    return found


def _own_files(folder: Path, name: str, weight: Weight) -> list[tuple[Path, Source | None]]:
    """Where a weight may be in the user's folder, each with the source whose file's name that is."""
    named_after_it: list[tuple[Path, Source | None]] = [(folder / f'{name}{suffix}', None) for suffix in _SUFFIXES]
    return named_after_it + [(folder / source.file, source) for source in weight.sources]


def _fetch(name: str, weight: Weight, folder: Path | None) -> tuple[State, Source]:
    """The state dict from the first source that has it, and that source.

    The download goes to a temporary folder inside ``folder``, or where temporary files go if that is ``None``.
    """
    failures = []
    for source in weight.sources:
        with tempfile.TemporaryDirectory(dir=folder, prefix=f'{name}.') as place:
            try:
                path = download(source.url, Path(place) / os.path.basename(source.file), sha256=source.sha256)
                return _converted(path, weight, source), source
            except (DownloadError, ValueError) as error:
                log.warning('%s: %s', source.url, error)
                failures.append(f'  {source.url}: {error}')
    tried = '\n'.join(failures)
    raise FileNotFoundError(
        f'{SCHEME}{name} could not be had from any of its sources:\n{tried}\n'
        f'Put a copy you have into a folder, as {name}.pth, and set {FOLDER_VARIABLE} to that folder '
        f'(`hrnet-plugins weights {name} --manual` says how); or give the path of the file as the checkpoint. '
        f'It is published by {weight.origin}'
    )


def _converted(path: Path, weight: Weight, source: Source | None) -> State:
    named = source.format if source is not None else ''
    state, _ = convert(load_state_dict(path), named or None)
    if weight.part == 'model':
        return state
    return {key.removeprefix(_BACKBONE): value for key, value in state.items() if key.startswith(_BACKBONE)}
