"""Ask every address of named weights whether it still has its file."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hrnet_plugins.weights.catalog import Source
from hrnet_plugins.weights.download import TIMEOUT, DownloadError, size_of

_AT_ONCE = 8
"""How many addresses are asked at once."""


@dataclass(frozen=True)
class Answer:
    """What one address answered.

    Args:
        url: The address.
        alive: Whether it has a file, of the size known if one is.
        size: The file's size in bytes; 0 if the host does not say.
        reason: Why it is not alive, else empty.
    """

    url: str
    alive: bool
    size: int
    reason: str


def probe(sources: Iterable[Source], *, timeout: float = TIMEOUT) -> dict[str, Answer]:
    """Ask each address for the header of its file; no file is fetched.

    Args:
        sources: The places to ask. One that is named twice is asked once.
        timeout: Seconds to wait for each answer.

    Returns:
        The answers by address, in the order of the sources.
    """

    def ask(source: Source) -> Answer:
        try:
            size = size_of(source.url, timeout=timeout)
        except DownloadError as error:
            return Answer(source.url, False, 0, str(error))
        if source.size and size and size != source.size:
            return Answer(source.url, False, size, f'another file: {size} bytes, not {source.size}')
        return Answer(source.url, True, size, '')

    once = {source.url: source for source in sources}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {answer.url: answer for answer in pool.map(ask, once.values())}
