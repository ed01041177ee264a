"""What necks and heads ask of the backbone's maps, and the concatenation of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
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

    ``torch.fx`` cannot look at sizes: modules that call this make it a step of its own by ``torch.fx.wrap``.

    Raises:
        ValueError: If their number or their channels differ.
    """
    found = tuple(x.shape[1] for x in feats)
    if found != in_channels:
        raise ValueError(
            f'`in_channels` ({in_channels}) does not fit the maps received, of {found} channels: '
            "pass the backbone's out_channels"
        )


def concat_feats(feats: Sequence[Tensor], *, align_corners: bool) -> Tensor:
    """All maps as one, at the size of the first (arXiv:1904.04514, section 2.1).

    Args:
        feats: Maps (B, C_i, h_i, w_i), finest first.
        align_corners: Of the bilinear resizing, as in ``torch.nn.functional.interpolate``.

    Returns:
        (B, sum(C_i), h_0, w_0).
    """
    size = feats[0].shape[2:]
    coarser = (F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners) for x in feats[1:])
    return torch.cat([feats[0], *coarser], dim=1)
