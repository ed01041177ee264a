"""Make the twin of a whole tree of modules for fast inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from hrnet_plugins.inference.fast.fold import FoldedConv, fold, foldable
from hrnet_plugins.inference.fast.mirror import Mirror, bare
from hrnet_plugins.models import HRNet
from hrnet_plugins.models.layers import ResidualBlock

Boundaries = Mapping[nn.Module, tuple[type[Mirror], torch.dtype]]
Pairs = Iterator[tuple[str, str]]
"""Names of the convolutions and norms of a module where the norm takes the convolution's output, and nothing else."""


def mirror(plain: nn.Module, dtype: torch.dtype, *, within: Boundaries = MappingProxyType({})) -> nn.Module:
    """The twin of a module: eval mode, channels last, floating tensors in ``dtype``, batch norms folded.

    Hooks of the originals run, except those of convolutions and norms that are folded.

    Args:
        plain: The original; it is read, not changed.
        dtype: Precision of the twin.
        within: Modules in it whose twins have other methods, and from which on the precision is another.
    """
    return _Maker(within).twin(plain, dtype)


class _Maker:
    def __init__(self, within: Boundaries) -> None:
        self.within = within
        self.made: dict[tuple[nn.Module, torch.dtype], nn.Module] = {}  # a module in two places has one twin

    def twin(self, plain: nn.Module, dtype: torch.dtype) -> nn.Module:
        key = plain, dtype
        if key not in self.made:
            self.made[key] = self._make(plain, dtype)
        return self.made[key]

    def _make(self, plain: nn.Module, dtype: torch.dtype) -> nn.Module:
        mixin, dtype = self.within.get(plain, (_MIXINS.get(type(plain).forward, Mirror), dtype))
        twin = bare(plain, mixin, dtype=dtype)
        for name, parameter in plain._parameters.items():
            own = parameter if parameter is None else nn.Parameter(_convert(parameter, dtype), requires_grad=False)
            twin.register_parameter(name, own)
        for name, buffer in plain._buffers.items():
            twin.register_buffer(name, buffer if buffer is None else _convert(buffer, dtype))
        folded = _folded(plain, dtype)
        for name, child in plain._modules.items():
            twin.add_module(name, child if child is None else folded.get(name) or self.twin(child, dtype))
        return twin


def _convert(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    tensor = tensor.detach().to(dtype if tensor.is_floating_point() else tensor.dtype)
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _folded(plain: nn.Module, dtype: torch.dtype) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    pairs = _PAIRS.get(type(plain).forward)
    for conv_name, norm_name in () if pairs is None else pairs(plain):
        conv: Any = plain.get_submodule(conv_name)
        norm = plain.get_submodule(norm_name)
        if foldable(conv, norm):
            weight, bias = fold(conv, norm)
            found[conv_name] = FoldedConv(weight.to(dtype), None if bias is None else bias.to(dtype), conv)
            found[norm_name] = nn.Identity()
    return found


def _in_sequence(plain: nn.Sequential) -> Pairs:
    return pairwise(plain._modules)


def _in_conv_module(plain: ConvModule) -> Pairs:
    if plain.with_norm and plain.order[:2] == ('conv', 'norm') and plain.efficient_conv_bn_eval_forward is None:
        yield 'conv', plain.norm_name


def _in_residual_block(plain: ResidualBlock) -> Pairs:
    yield from plain._names


def _in_hrnet(plain: HRNet) -> Pairs:
    yield from zip(plain._stem_names[::2], plain._stem_names[1::2])


_PAIRS: Mapping[Callable[..., Any], Callable[..., Pairs]] = MappingProxyType(
    {
        nn.Sequential.forward: _in_sequence,
        ConvModule.forward: _in_conv_module,
        ResidualBlock.forward: _in_residual_block,
        HRNet.forward: _in_hrnet,
    }
)
"""What a forward does with its convolutions and norms: the order of registration alone does not tell."""

_MIXINS: Mapping[Callable[..., Any], type[Mirror]] = MappingProxyType({})
"""Modules whose twins compute in another way, by the forward that is replaced: a subclass with its own keeps that."""
