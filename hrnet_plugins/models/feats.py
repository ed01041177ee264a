"""What the necks ask of the backbone's maps."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def listed_channels(in_channels: Sequence[int]) -> tuple[int, ...]:
    """The ``in_channels`` argument of a neck, one number a map.

    Raises:
        ValueError: If it is a number or empty.
    """
    if isinstance(in_channels, int) or not in_channels:
        raise ValueError(f"`in_channels` ({in_channels}) must list the channels of each map: backbone's out_channels")
    return tuple(in_channels)


def check_feats(feats: Sequence[Tensor], in_channels: tuple[int, ...]) -> None:
    """Check that the maps received are those a neck was built for.

    Raises:
        ValueError: If their number or their channels differ.
    """
    found = tuple(x.shape[1] for x in feats)
    if found != in_channels:
        raise ValueError(
            f'`in_channels` ({in_channels}) does not fit the maps received, of {found} channels: '
            "pass the backbone's out_channels"
        )
