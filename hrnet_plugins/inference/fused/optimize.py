"""Copy a tree of modules for fast inference: batch norms fused, faster forwards where they are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from hrnet_plugins.inference.fused.conv_bn import FusedConv, can_fuse, fuse_conv_bn, pad_channels
from hrnet_plugins.inference.fused.modules import ContiguousOp, FusedHRModule, FusedHRNet, FusedResidualBlock
from hrnet_plugins.inference.fused.onednn import direct_conv
from hrnet_plugins.inference.fused.winograd import WinogradConv, is_profitable
from hrnet_plugins.inference.proxy import Proxy, empty_proxy
from hrnet_plugins.models import HRModule, HRNet
from hrnet_plugins.models.conv_norm import ConvModule as OwnConvModule
from hrnet_plugins.models.conv_norm import ConvNorm, is_plain_conv
from hrnet_plugins.models.layers import ResidualBlock

Overrides = Mapping[nn.Module, tuple[type[Proxy], torch.dtype]]
"""For some modules the proxy class to use, and the precision of the module and of all that is in it."""
Pairs = Iterator[tuple[str, str]]
"""Attribute names of a convolution and of the norm that takes its output; nothing else takes that output."""


def optimize(
    plain: nn.Module,
    dtype: torch.dtype,
    *,
    overrides: Overrides = MappingProxyType({}),
    channel_multiple: int = 1,
    only_fuse: bool = False,
) -> nn.Module:
    """A fast copy of a module: in eval mode, channels last, floating-point tensors in ``dtype``, batch norms fused.

    Hooks of the originals run, except those of convolutions and norms that are fused.

    Args:
        plain: The original. It is read, not changed.
        dtype: Precision of the copy.
        overrides: Modules inside that are copied in another way or in another precision.
        channel_multiple: In an HRNet whose norms are all fused, channels of zeros are added up to a multiple of this.
        only_fuse: Fuse batch norms, but keep the original forwards and convolutions: for runtimes that optimise them
            in their own way.
    """
    return _Builder(overrides, channel_multiple, only_fuse).copy(plain, dtype, 1)


class _Builder:
    def __init__(self, overrides: Overrides, channel_multiple: int, only_fuse: bool) -> None:
        self.overrides = overrides
        self.channel_multiple = channel_multiple
        self.only_fuse = only_fuse
        self.copies: dict[tuple[nn.Module, torch.dtype, int], nn.Module] = {}  # a module in two places has one copy

    def copy(self, plain: nn.Module, dtype: torch.dtype, multiple: int) -> nn.Module:
        key = plain, dtype, multiple
        if key not in self.copies:
            self.copies[key] = self._copy(*key)
        return self.copies[key]

    def _copy(self, plain: nn.Module, dtype: torch.dtype, multiple: int) -> nn.Module:
        if type(plain).forward is HRNet.forward and _fuses_completely(plain):
            multiple = self.channel_multiple
        if is_plain_conv(plain) and dtype == torch.float32 and plain not in self.overrides and not self.only_fuse:
            weight, bias = fuse_conv_bn(plain, nn.Identity())
            if is_profitable(weight, plain):
                return WinogradConv(weight, bias, plain)
        mixin, dtype = self.overrides.get(plain, (Proxy if self.only_fuse else _proxy_type(plain), dtype))
        copy = empty_proxy(plain, mixin, dtype=dtype)
        for name, parameter in plain._parameters.items():
            own = parameter if parameter is None else nn.Parameter(_convert(parameter, dtype), requires_grad=False)
            copy.register_parameter(name, own)
        for name, buffer in plain._buffers.items():
            copy.register_buffer(name, buffer if buffer is None else _convert(buffer, dtype))
        fused = _fused_children(plain, dtype, multiple, FusedConv if self.only_fuse else _fastest_conv)
        for name, child in plain._modules.items():
            copy.add_module(name, child if child is None else fused.get(name) or self.copy(child, dtype, multiple))
        for before, after in pairwise(copy.children()) if type(plain).forward is nn.Sequential.forward else ():
            if isinstance(before, FusedResidualBlock) and isinstance(after, FusedResidualBlock):
                after.__dict__['previous'] = before
        return copy


def _proxy_type(plain: nn.Module) -> type[Proxy]:
    if isinstance(plain, ResidualBlock) and type(plain).forward is ResidualBlock.forward:
        return FusedResidualBlock if len(list(_fusable(plain))) == len(list(plain.conv_norm_pairs())) else Proxy
    of_mmcv = type(plain).__module__.startswith('mmcv.ops.')
    return _FUSED_FORWARDS.get(type(plain).forward, ContiguousOp if of_mmcv else Proxy)


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _fused_children(
    plain: nn.Module, dtype: torch.dtype, multiple: int, make: Callable[..., nn.Module]
) -> dict[str, nn.Module]:
    """The children of the copy that take the place of convolutions and their norms."""
    found: dict[str, nn.Module] = {}
    for conv_name, norm_name in _fusable(plain):
        conv: Any = plain.get_submodule(conv_name)
        takes_image = isinstance(plain, HRNet) and conv_name == 'conv1'  # whose channels are not padded
        fused = fuse_conv_bn(conv, plain.get_submodule(norm_name))
        weight, bias = pad_channels(*fused, multiple, inputs=not takes_image)
        found[conv_name] = make(weight.to(dtype), None if bias is None else bias.to(dtype), conv)
        found[norm_name] = nn.Identity()
    return found


def _fastest_conv(weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> nn.Module:
    return WinogradConv(weight, bias, conv) if is_profitable(weight, conv) else direct_conv(weight, bias, conv)


def _fusable(plain: nn.Module) -> Pairs:
    pairs = _PAIRS.get(type(plain).forward)
    for conv_name, norm_name in () if pairs is None else pairs(plain):
        if can_fuse(plain.get_submodule(conv_name), plain.get_submodule(norm_name)):
            yield conv_name, norm_name


def _fuses_completely(plain: nn.Module) -> bool:
    """True when every module with parameters is a convolution or a norm that is fused."""
    with_tensors = sum(bool(child._parameters) for child in plain.modules())
    fused = [child.get_submodule(name) for child in plain.modules() for pair in _fusable(child) for name in pair]
    return with_tensors == sum(bool(child._parameters) for child in fused)


def _in_sequence(plain: nn.Sequential) -> Pairs:
    return pairwise(plain._modules)


def _in_conv_module(plain: ConvModule) -> Pairs:
    if plain.with_norm and plain.order[:2] == ('conv', 'norm') and plain.efficient_conv_bn_eval_forward is None:
        yield 'conv', plain.norm_name


_in_our_module = methodcaller('conv_norm_pairs')

_PAIRS: Mapping[Callable[..., Any], Callable[..., Pairs]] = MappingProxyType(
    {
        nn.Sequential.forward: _in_sequence,
        ConvNorm.forward: _in_sequence,
        ConvModule.forward: _in_conv_module,
        OwnConvModule.forward: _in_conv_module,
        ResidualBlock.forward: _in_our_module,
        HRNet.forward: _in_our_module,
    }
)
"""For each known forward, the pairs that it runs: the order in which submodules were registered does not tell."""

_FUSED_FORWARDS: Mapping[Callable[..., Any], type[Proxy]] = MappingProxyType(
    {HRModule.forward: FusedHRModule, HRNet.forward: FusedHRNet}
)
"""The fused module for each forward that it replaces. A subclass with a forward of its own keeps that forward."""
