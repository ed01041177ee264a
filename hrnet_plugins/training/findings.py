"""What a check of data and configs has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong in one place.

    Args:
        severity: An ``error`` cannot be meant and stops; a ``warning`` is odd, and training goes on.
        text: What is wrong, in which file, how often, and what to do.
    """

    severity: Literal['error', 'warning']
    text: str


def error(text: str) -> Finding:
    """Something that cannot be meant."""
    return Finding('error', text)


def warning(text: str) -> Finding:
    """Something odd."""
    return Finding('warning', text)


_SHOWN = 3


def some(items: Sequence[object]) -> str:
    """The first few, and how many more there are."""
    more = [f'and {len(items) - _SHOWN} more'] if len(items) > _SHOWN else []
    return ', '.join([*map(str, items[:_SHOWN]), *more])
