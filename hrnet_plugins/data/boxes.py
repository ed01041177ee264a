"""What is wrong with a box, whatever it was read from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeGuard

Fault = Literal['', 'malformed', 'nan-box', 'negative-box', 'no-area', 'wholly-outside', 'outside']
"""Keys of ``content.KINDS``; nothing for a box that can be learnt as it is."""

ROUNDING = 1.0
"""Pixels that a box may reach out of its picture without a word: tools round, and VOC counts from 1."""
UNKNOWN_SIZE = (math.inf, math.inf)
"""Width and height of a picture that states none: no box reaches out of it."""


def box_fault(box: Any, size: tuple[float, float] = UNKNOWN_SIZE) -> Fault:
    """The gravest fault of a box.

    Args:
        box: Left, top, right and bottom in pixels from 0, or what was read in their place.
        size: Width and height of its picture, in pixels.
    """
    if not is_box(box):
        return 'malformed'
    left, top, right, bottom = box
    width, height = size
    if not all(map(math.isfinite, box)):
        return 'nan-box'
    if right < left or bottom < top:
        return 'negative-box'
    if right == left or bottom == top:
        return 'no-area'
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        return 'wholly-outside'
    if min(left, top) < -ROUNDING or right > width + ROUNDING or bottom > height + ROUNDING:
        return 'outside'
    return ''


def is_box(value: Any) -> TypeGuard[Sequence[float]]:
    """Whether a value is four numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(is_number, value))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number; JSON's ``true`` is none."""
    return type(value) in (float, int)
