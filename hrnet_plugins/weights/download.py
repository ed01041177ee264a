"""Fetch one file, verified and whole, or say in one line why not."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

TIMEOUT = 10.0
"""Seconds without a byte after which a mirror counts as dead."""
_CHUNK = 1 << 20


class DownloadError(OSError):
    """A source that did not give the file; the message is the reason."""


def download(url: str, target: Path, *, sha256: str = '', timeout: float = TIMEOUT) -> Path:
    """Fetch ``url`` into ``target``, by way of a temporary name in the same folder, so whole or not at all.

    Args:
        url: An ``http`` or ``https`` address, or ``hf://OWNER/REPOSITORY`` for the repository's ``model.safetensors``,
            which ``huggingface_hub`` has in its cache or fetches into the folder of ``target``.
        target: The file to write; its folder must exist.
        sha256: The first hexadecimal digits that the file's SHA-256 must have; empty checks none.
        timeout: Seconds to wait for a connection and for each next byte.

    Returns:
        Where the file is.

    Raises:
        DownloadError: Saying what went wrong.
    """
    if url.startswith('hf://'):
        return _from_hub(url.removeprefix('hf://'), target.parent, timeout)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f'{target.name}.', suffix='.part')
    part = Path(name)
    try:
        with os.fdopen(handle, 'wb') as file:
            digest = _stream(url, file, timeout)
        if not digest.startswith(sha256.lower()):
            raise DownloadError(f'the file is corrupt: its SHA-256 begins {digest[: len(sha256)]}, not {sha256}')
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _stream(url: str, file: object, timeout: float) -> str:
    """Write what ``url`` serves to a file, with a progress bar, and return its SHA-256."""
    digest = hashlib.sha256()
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        _told(timeout),
        urllib.request.urlopen(_request(url), timeout=timeout) as response,  # noqa: S310, catalog's
        Progress(*columns) as progress,
    ):
        total = int(response.headers.get('Content-Length') or 0) or None
        bar = progress.add_task(url.rsplit('/', 1)[1], total=total)
        received = 0
        while chunk := response.read1(_CHUNK):
            file.write(chunk)  # type: ignore[attr-defined]  # an open binary file
            digest.update(chunk)
            received += len(chunk)
            progress.update(bar, completed=received)
    if total is not None and received != total:
        raise DownloadError(f'the transfer stopped at {received} of {total} bytes')
    return digest.hexdigest()


def _from_hub(repository: str, folder: Path, timeout: float) -> Path:
    import huggingface_hub as hub  # noqa: PLC0415, slow to import and seldom needed

    file = 'model.safetensors'
    try:
        found = hub.try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
        if not hub.constants.HF_HUB_OFFLINE:
            _reach(hub.hf_hub_url(repository, file), timeout)
        return Path(hub.hf_hub_download(repository, file, local_dir=folder, etag_timeout=timeout))
    except Exception as error:  # it raises errors of several libraries
        raise DownloadError(next(iter(str(error).strip().splitlines()), type(error).__name__)) from None


def _reach(url: str, timeout: float) -> None:
    """Raise if nobody answers: the hub's library tries such a host for minutes."""
    with _told(timeout):
        try:
            urllib.request.urlopen(_request(url, 'HEAD'), timeout=timeout).close()  # noqa: S310, catalog's
        except urllib.request.HTTPError as error:
            if error.code not in (401, 403):  # the library may know the user's token
                raise


def _request(url: str, method: str = 'GET') -> urllib.request.Request:
    return urllib.request.Request(url, headers={'User-Agent': 'hrnet-plugins'}, method=method)  # noqa: S310, catalog's


@contextmanager
def _told(timeout: float) -> Iterator[None]:
    """Turn what goes wrong with a connection into a ``DownloadError`` of one line."""
    try:
        yield
    except TimeoutError:
        raise DownloadError(f'nothing came for {timeout:g} seconds') from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, 'reason', None) or error
        if isinstance(reason, TimeoutError):  # of the connection itself
            raise DownloadError(f'no connection within {timeout:g} seconds') from None
        code = f'HTTP {error.code} ' if isinstance(error, urllib.request.HTTPError) else ''
        raise DownloadError(f'{code}{reason}') from None
