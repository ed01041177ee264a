"""What a check of data and configs has found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
_ODD = ('wholly-outside', 'no-area')
"""Faults that some boxes may have, but not all."""


def some(items: Sequence[object]) -> str:
    """The first few, and how many more there are."""
    more = [f'and {len(items) - _SHOWN} more'] if len(items) > _SHOWN else []
    return ', '.join([*map(str, items[:_SHOWN]), *more])


def box_findings(
    places: Mapping[str, Sequence[object]], count: int, *, file: str = '', unit: str = '', dropped: bool = False
) -> Iterator[Finding]:
    """What is wrong with the boxes of a set.

    Args:
        places: Where the boxes are that have each fault of ``data.boxes``.
        count: How many boxes there are.
        file: What the text begins with.
        unit: What the places are.
        dropped: The dataset leaves boxes out that cannot be used.
    """
    texts = {
        'malformed': 'boxes that are not four numbers',
        'nan-box': 'boxes that are NaN or infinite',
        'negative-box': 'boxes of negative size',
        'wholly-outside': f'of {count} boxes are wholly outside of their pictures{" and left out" * dropped}',
        'outside': 'boxes reach out of their pictures',
        'no-area': f'boxes of no area{" are left out" * dropped}',
    }
    for fault, text in texts.items():
        found = places.get(fault, ())
        say = warning if fault == 'outside' or (fault in _ODD and len(found) < count) else error
        if found:
            yield say(f'{file}{len(found)} {text}: {unit}{some(found)}')
