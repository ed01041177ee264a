"""Download one file, completely and with the right hash. What goes wrong is said in one line."""

from __future__ import annotations

import hashlib
import os
import queue
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

TIMEOUT = 10.0
"""Seconds to wait for a connection or for the next bytes."""
MIN_SPEED = 1024
"""Bytes a second below which a transfer is given up, once that has lasted for three times the timeout."""
_CHUNK = 1 << 20
_SLOW = 3
"""How many times the timeout something may take that never stops for as long as the timeout."""
_NO_HEAD = (403, 405, 501)
"""What hosts answer that give files and do not answer questions about them, such as those of signed addresses."""


class DownloadError(OSError):
    """A file could not be downloaded; the message says why."""


def download(url: str, target: Path, *, sha256: str = '', timeout: float = TIMEOUT) -> Path:
    """Download ``url`` to ``target``, completely or not at all: to a temporary file beside it, which is then renamed.

    Args:
        url: An ``http`` or ``https`` address, or ``hf://OWNER/REPOSITORY`` for the repository's ``model.safetensors``.
            The latter is taken from the cache of ``huggingface_hub`` if it is there. Otherwise ``huggingface_hub``
            downloads it into the folder of ``target``.
        target: The file to write; its folder must exist.
        sha256: The hexadecimal digits with which the file's SHA-256 must begin; empty checks nothing.
        timeout: Seconds to wait for a connection, and again each time for the next bytes. A host that gives a few bytes
            now and then is given up after three times as long.

    Returns:
        Where the file is.

    Raises:
        DownloadError: If anything goes wrong; it says what.
    """
    if url.startswith('hf://'):
        return _from_hugging_face(url.removeprefix('hf://'), target.parent, timeout)
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


def size_of(url: str, *, timeout: float = TIMEOUT) -> int:
    """The size that a host says a file has: it is asked for the file's header only.

    A host that does not answer such a question is asked for the file's first byte.

    Args:
        url: As for ``download``.
        timeout: Seconds to wait for an answer.

    Returns:
        Bytes; 0 if the host has the file and does not say.

    Raises:
        DownloadError: If it has not, or does not answer; it says what is wrong.
    """
    if url.startswith('hf://'):
        import huggingface_hub as hub  # noqa: PLC0415, slow to import and seldom needed

        url = hub.hf_hub_url(url.removeprefix('hf://'), 'model.safetensors')
    opener = urllib.request.build_opener(_SameQuestion)
    with _connection_errors(timeout):
        try:
            with _open(_request(url, 'HEAD'), timeout, opener) as response:
                return int(response.headers.get('Content-Length') or 0)
        except urllib.request.HTTPError as error:
            if error.code not in _NO_HEAD:
                raise
        request = _request(url)
        request.add_header('Range', 'bytes=0-0')
        with _open(request, timeout, opener) as response:
            total = response.headers.get('Content-Range', '').rpartition('/')[2]
            return int(total) if total.isdigit() else int(response.headers.get('Content-Length') or 0)


class _SameQuestion(urllib.request.HTTPRedirectHandler):
    """Asks the next host what the first was asked; by default urllib would ask it for the whole file."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """See ``urllib.request.HTTPRedirectHandler``."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.method = req.get_method()
        return request


def _stream(url: str, file: object, timeout: float) -> str:
    """Write the content of ``url`` to a file, show a progress bar, and return the SHA-256."""
    digest = hashlib.sha256()
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        _connection_errors(timeout),
        _open(_request(url), timeout) as response,
        Progress(*columns) as progress,
    ):
        total = int(response.headers.get('Content-Length') or 0) or None
        bar = progress.add_task(url.rsplit('/', 1)[1], total=total)
        received = counted = 0
        since = time.monotonic()
        while chunk := response.read1(_CHUNK):
            file.write(chunk)  # type: ignore[attr-defined]  # an open binary file
            digest.update(chunk)
            received += len(chunk)
            progress.update(bar, completed=received)
            seconds = time.monotonic() - since
            if seconds > _SLOW * timeout:
                if received - counted < MIN_SPEED * seconds:
                    raise DownloadError(f'only {received - counted} bytes came in {seconds:.0f} seconds')
                since, counted = time.monotonic(), received
    if total is not None and received != total:
        raise DownloadError(f'the transfer stopped at {received} of {total} bytes')
    return digest.hexdigest()


def _from_hugging_face(repository: str, folder: Path, timeout: float) -> Path:
    import huggingface_hub as hub  # noqa: PLC0415, slow to import and seldom needed

    file = 'model.safetensors'
    try:
        found = hub.try_to_load_from_cache(repository, file)
        if isinstance(found, str):
            return Path(found)
        if not hub.constants.HF_HUB_OFFLINE:
            _check_host(hub.hf_hub_url(repository, file), timeout)
        return Path(hub.hf_hub_download(repository, file, local_dir=folder, etag_timeout=timeout))
    except Exception as error:  # it raises errors of several libraries
        raise DownloadError(next(iter(str(error).strip().splitlines()), type(error).__name__)) from None


def _check_host(url: str, timeout: float) -> None:
    """Raise an error if the host does not answer. ``huggingface_hub`` itself would go on trying for minutes."""
    with _connection_errors(timeout):
        try:
            _open(_request(url, 'HEAD'), timeout).close()
        except urllib.request.HTTPError as error:
            if error.code not in (401, 403):  # huggingface_hub may know the user's token
                raise


def _open(request: urllib.request.Request, timeout: float, opener: urllib.request.OpenerDirector | None = None) -> Any:
    """The response, once its header is there.

    urllib waits for ``timeout`` for each piece of the header. In a thread of its own it is given up where all pieces
    together take too long.

    Raises:
        DownloadError: If that is so.
    """
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
    ask = (opener or urllib.request.build_opener()).open

    def run() -> None:
        try:
            answers.put((ask(request, timeout=timeout), None))
        except BaseException as error:  # for the thread that waits
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()  # a daemon does not keep a program from ending
    try:
        response, error = answers.get(timeout=_SLOW * timeout)
    except queue.Empty:
        raise DownloadError(f'no answer within {_SLOW * timeout:g} seconds') from None
    if error is not None:
        raise error
    return response


def _request(url: str, method: str = 'GET') -> urllib.request.Request:
    return urllib.request.Request(url, headers={'User-Agent': 'hrnet-plugins'}, method=method)  # noqa: S310, catalog's


@contextmanager
def _connection_errors(timeout: float) -> Iterator[None]:
    """Turn the errors of a connection into a ``DownloadError`` whose message is one line."""
    try:
        yield
    except DownloadError:
        raise
    except TimeoutError:
        raise DownloadError(f'nothing came for {timeout:g} seconds') from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, 'reason', None) or error
        if isinstance(reason, TimeoutError):  # of the connection itself
            raise DownloadError(f'no connection within {timeout:g} seconds') from None
        code = f'HTTP {error.code} ' if isinstance(error, urllib.request.HTTPError) else ''
        raise DownloadError(f'{code}{reason}') from None
