"""What necks and heads ask of the backbone's maps, their concatenation, and 1x1 convolutions of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hrnet_plugins.models.conv_norm import (
    can_fuse_fixed,
    conv_norm,
    is_traced,
    runs_alone,
)
from hrnet_plugins.models.resizing import fast_to_resize, resize
from hrnet_plugins.models.scaled_conv import fixed_scale_and_shift, scaled


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
    if torch.is_grad_enabled() and not is_traced(feats[0]):
        feats = fast_to_resize(feats)
    size = feats[0].shape[2:]
    coarser = (resize(x, size, align_corners=align_corners) for x in feats[1:])
    return torch.cat([feats[0], *coarser], dim=1)


def conv_of_concat(conv: Any, feats: Sequence[Tensor], channels: Sequence[int], *, align_corners: bool) -> Tensor:
    """``conv(concat_feats(feats))``, without the concatenation where the convolution is a plain 1x1.

    A 1x1 convolution and a bilinear resizing commute, so each map is convolved at its own size and the results are
    resized and added. That differs by rounding only, and neither the concatenation nor the resized maps are kept for
    backward.

    Args:
        conv: A convolution of any kind.
        feats: Maps (B, channels[i], h_i, w_i), finest first.
        channels: Channels of each map.
        align_corners: Of the bilinear resizing.

    Returns:
        (B, C_out, h_0, w_0).
    """
    convs = _convs_of_branches(conv, channels, feats)
    if convs is None:
        return conv(concat_feats(feats, align_corners=align_corners))
    return _sum_resized(convs, feats, align_corners=align_corners)


def conv_norm_of_concat(
    conv: Any,
    norm: Any,
    feats: Sequence[Tensor],
    channels: Sequence[int],
    *,
    align_corners: bool,
    efficient: bool = True,
) -> Tensor:
    """``norm(conv(concat_feats(feats)))`` as ``conv_of_concat``; as one convolution where ``conv_norm`` is one.

    Args:
        conv: A convolution of any kind.
        norm: A norm of any kind.
        feats: Maps (B, channels[i], h_i, w_i), finest first.
        channels: Channels of each map.
        align_corners: Of the bilinear resizing.
        efficient: As for ``conv_norm``.

    Returns:
        (B, C_out, h_0, w_0).
    """
    if efficient and torch.is_grad_enabled() and not is_traced(feats[0]) and can_fuse_fixed(conv, norm):
        convs = _convs_of_branches(conv, channels, feats, norm)
        if convs is not None:
            return _sum_resized(convs, feats, align_corners=align_corners)
        return conv_norm(conv, norm, concat_feats(feats, align_corners=align_corners))
    return norm(conv_of_concat(conv, feats, channels, align_corners=align_corners))


def _convs_of_branches(
    conv: Any, channels: Sequence[int], feats: Sequence[Tensor], norm: Any = None
) -> Sequence[Callable[[Tensor], Tensor]] | None:
    """The part of a 1x1 convolution, and of a norm with fixed statistics, for each map, or ``None``."""
    exporting = torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
    if len(channels) == 1 or is_traced(feats[0]) or exporting:  # other runtimes resize slowly
        return None
    if hasattr(conv, 'split_inputs'):  # an accelerated one
        return conv.split_inputs(channels)
    plain = isinstance(conv, nn.Conv2d) and type(conv).forward is nn.Conv2d.forward
    if not (plain and is_pointwise(conv) and runs_alone(conv)) or parametrize.is_parametrized(conv):
        return None
    weight, bias = conv.weight, conv.bias
    if norm is not None:
        scale, bias = fixed_scale_and_shift(norm, bias, weight.dtype)
        weight, bias = scaled(weight, scale, weight.dtype), bias.to(weight.dtype)
    parts = weight.split(list(channels), dim=1)
    # The bias once: with the first map, which is not resized.
    return [partial(torch.conv2d, weight=part, bias=None if i else bias) for i, part in enumerate(parts)]


def is_pointwise(conv: Any) -> bool:
    """True for the kernel size, stride, padding and groups of a 1x1 convolution of all channels that keeps the size."""
    return conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and conv.groups == 1


def _sum_resized(
    convs: Sequence[Callable[[Tensor], Tensor]], feats: Sequence[Tensor], *, align_corners: bool
) -> Tensor:
    feats = fast_to_resize(feats)
    size = feats[0].shape[2:]
    total = convs[0](feats[0])  # (B, C, h_0, w_0)
    for i, (conv, x) in enumerate(zip(convs[1:], feats[1:])):
        term = conv(x)
        if term.shape[2:] != size:
            term = resize(term, size, align_corners=align_corners)
        total = total.add_(term) if i else total + term  # what a convolution gave is not written over
    return total


def same_layout(x: Tensor, like: Tensor) -> Tensor:
    """A map in the memory layout of another: operators of mmcv read channels-last maps as noise."""
    return x.contiguous() if like.is_contiguous() else x
