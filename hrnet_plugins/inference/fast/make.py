"""Make the twin of a whole tree of modules for fast inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from hrnet_plugins.inference.fast.fold import FoldedConv, convolution, fold, foldable, is_plain_conv, pad_channels
from hrnet_plugins.inference.fast.hrnet import Contiguous, FastBlock, FastHRNet, FastModule
from hrnet_plugins.inference.fast.mirror import Mirror, bare
from hrnet_plugins.inference.fast.winograd import WinogradConv, pays
from hrnet_plugins.models import HRModule, HRNet
from hrnet_plugins.models.layers import ResidualBlock

Boundaries = Mapping[nn.Module, tuple[type[Mirror], torch.dtype]]
Pairs = Iterator[tuple[str, str]]
"""Names of the convolutions and norms of a module where the norm takes the convolution's output, and nothing else."""


def mirror(
    plain: nn.Module,
    dtype: torch.dtype,
    *,
    within: Boundaries = MappingProxyType({}),
    multiple: int = 1,
    only_fold: bool = False,
) -> nn.Module:
    """The twin of a module: eval mode, channels last, floating tensors in ``dtype``, batch norms folded.

    Hooks of the originals run, except those of convolutions and norms that are folded.

    Args:
        plain: The original; it is read, not changed.
        dtype: Precision of the twin.
        within: Modules in it whose twins have other methods, and from which on the precision is another.
        multiple: Inside HRNets whose norms all fold, channels are padded with zeros to a multiple of this.
        only_fold: Keep the originals' forwards and convolutions, for runtimes that have their own ways to be fast.
    """
    return _Maker(within, multiple, only_fold).twin(plain, dtype, 1)


class _Maker:
    def __init__(self, within: Boundaries, multiple: int, only_fold: bool) -> None:
        self.within = within
        self.multiple = multiple
        self.only_fold = only_fold
        self.made: dict[tuple[nn.Module, torch.dtype, int], nn.Module] = {}  # a module in two places has one twin

    def twin(self, plain: nn.Module, dtype: torch.dtype, multiple: int) -> nn.Module:
        key = plain, dtype, multiple
        if key not in self.made:
            self.made[key] = self._make(*key)
        return self.made[key]

    def _make(self, plain: nn.Module, dtype: torch.dtype, multiple: int) -> nn.Module:
        if type(plain).forward is HRNet.forward and _folds_completely(plain):
            multiple = self.multiple
        if is_plain_conv(plain) and dtype == torch.float32 and plain not in self.within and not self.only_fold:
            weight, bias = fold(plain, nn.Identity())
            if pays(weight, plain):
                return WinogradConv(weight, bias, plain)
        mixin, dtype = self.within.get(plain, (Mirror if self.only_fold else _mixin(plain), dtype))
        twin = bare(plain, mixin, dtype=dtype)
        for name, parameter in plain._parameters.items():
            own = parameter if parameter is None else nn.Parameter(_convert(parameter, dtype), requires_grad=False)
            twin.register_parameter(name, own)
        for name, buffer in plain._buffers.items():
            twin.register_buffer(name, buffer if buffer is None else _convert(buffer, dtype))
        folded = _folded(plain, dtype, multiple, FoldedConv if self.only_fold else _convolution)
        for name, child in plain._modules.items():
            twin.add_module(name, child if child is None else folded.get(name) or self.twin(child, dtype, multiple))
        for before, after in pairwise(twin.children()) if type(plain).forward is nn.Sequential.forward else ():
            if isinstance(before, FastBlock) and isinstance(after, FastBlock):
                after.__dict__['before'] = before
        return twin


def _mixin(plain: nn.Module) -> type[Mirror]:
    if isinstance(plain, ResidualBlock) and type(plain).forward is ResidualBlock.forward:
        return FastBlock if len(list(_foldable(plain))) == len(list(plain.conv_norm_pairs())) else Mirror
    of_mmcv = type(plain).__module__.startswith('mmcv.ops.')
    return _MIXINS.get(type(plain).forward, Contiguous if of_mmcv else Mirror)


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _folded(
    plain: nn.Module, dtype: torch.dtype, multiple: int, make: Callable[..., nn.Module]
) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for conv_name, norm_name in _foldable(plain):
        conv: Any = plain.get_submodule(conv_name)
        first = isinstance(plain, HRNet) and conv_name == 'conv1'  # it takes the image
        weight, bias = pad_channels(*fold(conv, plain.get_submodule(norm_name)), multiple, inputs=not first)
        found[conv_name] = make(weight.to(dtype), None if bias is None else bias.to(dtype), conv)
        found[norm_name] = nn.Identity()
    return found


def _convolution(weight: Tensor, bias: Tensor | None, conv: nn.Conv2d) -> nn.Module:
    return WinogradConv(weight, bias, conv) if pays(weight, conv) else convolution(weight, bias, conv)


def _foldable(plain: nn.Module) -> Pairs:
    pairs = _PAIRS.get(type(plain).forward)
    for conv_name, norm_name in () if pairs is None else pairs(plain):
        if foldable(plain.get_submodule(conv_name), plain.get_submodule(norm_name)):
            yield conv_name, norm_name


def _folds_completely(plain: nn.Module) -> bool:
    with_tensors = sum(bool(child._parameters) for child in plain.modules())
    folding = [child.get_submodule(name) for child in plain.modules() for pair in _foldable(child) for name in pair]
    return with_tensors == sum(bool(child._parameters) for child in folding)


def _in_sequence(plain: nn.Sequential) -> Pairs:
    return pairwise(plain._modules)


def _in_conv_module(plain: ConvModule) -> Pairs:
    if plain.with_norm and plain.order[:2] == ('conv', 'norm') and plain.efficient_conv_bn_eval_forward is None:
        yield 'conv', plain.norm_name


_PAIRS: Mapping[Callable[..., Any], Callable[..., Pairs]] = MappingProxyType(
    {
        nn.Sequential.forward: _in_sequence,
        ConvModule.forward: _in_conv_module,
        ResidualBlock.forward: methodcaller('conv_norm_pairs'),
        HRNet.forward: methodcaller('conv_norm_pairs'),
    }
)
"""What a forward does with its convolutions and norms: the order of registration alone does not tell."""

_MIXINS: Mapping[Callable[..., Any], type[Mirror]] = MappingProxyType(
    {HRModule.forward: FastModule, HRNet.forward: FastHRNet}
)
"""Modules whose twins compute in another way, by the forward that is replaced: a subclass with its own keeps that."""
