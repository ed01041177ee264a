"""Twins of modules, for inference: tensors in another precision and layout, everything else read from the original."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from hrnet_plugins.inference.fast.fold import FoldedConv, fold, foldable
from hrnet_plugins.models import HRNet
from hrnet_plugins.models.layers import ResidualBlock

Pairs = Iterator[tuple[str, str]]
"""Names of the convolutions and norms of a module where the norm takes the convolution's output, and nothing else."""


class Mirror(nn.Module):
    """Base of twins: an attribute that the twin has not itself is the original's, at the moment it is asked for.

    So what is set on the original later, such as a framework's ``test_cfg``, is never stale in the twin. Parameters,
    buffers and submodules are the twin's own.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            plain = self.__dict__.get('_plain')
            if plain is None or name not in plain.__dict__:
                raise
            return plain.__dict__[name]


def mirror(plain: nn.Module, dtype: torch.dtype, twins: Mapping[type, type] = MappingProxyType({})) -> nn.Module:
    """The twin of a module: eval mode, channels last, floating tensors in ``dtype``, batch norms folded.

    Hooks of the originals run, except those of convolutions and norms that are folded.

    Args:
        plain: The original; it is read, not changed.
        dtype: Precision of the twin.
        twins: Class -> a subclass of it and of ``Mirror`` to use for its twins.
    """
    return _Maker(dtype, twins).twin(plain)


class _Maker:
    def __init__(self, dtype: torch.dtype, twins: Mapping[type, type]) -> None:
        self.dtype = dtype
        self.twins = twins
        self.made: dict[int, nn.Module] = {}  # a module in two places has one twin

    def twin(self, plain: nn.Module) -> nn.Module:
        if id(plain) not in self.made:
            self.made[id(plain)] = self._make(plain)
        return self.made[id(plain)]

    def _make(self, plain: nn.Module) -> nn.Module:
        cls = type(plain)
        twin = object.__new__(self.twins.get(cls) or _mirrored(cls))
        nn.Module.__init__(twin)
        twin.__dict__['_plain'] = plain  # not a submodule
        twin.training = False
        twin._forward_pre_hooks = plain._forward_pre_hooks
        twin._forward_hooks = plain._forward_hooks
        for name, parameter in plain._parameters.items():
            converted = parameter if parameter is None else nn.Parameter(self._convert(parameter), requires_grad=False)
            twin.register_parameter(name, converted)
        for name, buffer in plain._buffers.items():
            twin.register_buffer(name, buffer if buffer is None else self._convert(buffer))
        folded = self._folded(plain)
        for name, child in plain._modules.items():
            twin.add_module(name, child if child is None else folded.get(name) or self.twin(child))
        return twin

    def _convert(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach().to(self.dtype if tensor.is_floating_point() else tensor.dtype)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def _folded(self, plain: nn.Module) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {}
        for conv_name, norm_name in _pairs(plain):
            conv, norm = plain.get_submodule(conv_name), plain.get_submodule(norm_name)
            if foldable(conv, norm):
                weight, bias = fold(conv, norm)
                found[conv_name] = FoldedConv(weight.to(self.dtype), None if bias is None else bias.to(self.dtype), conv)
                found[norm_name] = nn.Identity()
        return found


@cache
def _mirrored(cls: type[nn.Module]) -> type[nn.Module]:
    return type(f'Mirrored{cls.__name__}', (Mirror, cls), {})


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


def _pairs(plain: nn.Module) -> Pairs:
    pairs = _PAIRS.get(type(plain).forward)
    return iter(()) if pairs is None else pairs(plain)
