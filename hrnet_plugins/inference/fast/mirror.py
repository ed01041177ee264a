"""Twins of modules: what a twin has not itself, it reads from its original."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from torch import nn


class Mirror(nn.Module):
    """Base of twins: an attribute that the twin has not itself is the original's, at the moment it is asked for.

    So what is set on the original later, such as a framework's ``test_cfg``, is never stale in the twin. Parameters,
    buffers and submodules are the twin's own; hooks are shared.
    """

    _plain: nn.Module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            plain = self.__dict__.get('_plain')
            if plain is None or name not in plain.__dict__:
                raise
            return plain.__dict__[name]


def bare(plain: nn.Module, mixin: type[Mirror] = Mirror, **attributes: Any) -> nn.Module:
    """A twin in eval mode, still without parameters, buffers and submodules.

    Args:
        plain: The original.
        mixin: Methods that the twin has instead of its class's own.
        attributes: Its own attributes.
    """
    twin: nn.Module = object.__new__(_twin_class(type(plain), mixin))  # type: ignore[arg-type]  # nn.Module's hash
    nn.Module.__init__(twin)
    twin.__dict__.update(attributes, _plain=plain, training=False)  # past nn.Module, to which these would be submodules
    twin._forward_pre_hooks = plain._forward_pre_hooks
    twin._forward_hooks = plain._forward_hooks
    return twin


def shell(
    plain: nn.Module,
    mixin: type[Mirror],
    children: Mapping[str, nn.Module] = MappingProxyType({}),
    **attributes: Any,
) -> nn.Module:
    """A twin with the original's own tensors and submodules, but those in ``children``. Otherwise as ``bare``."""
    twin = bare(plain, mixin, **attributes)
    twin._parameters, twin._buffers = plain._parameters, plain._buffers
    twin._modules = {**plain._modules, **children}
    return twin


@cache
def _twin_class(cls: type[nn.Module], mixin: type[Mirror]) -> type[nn.Module]:
    return type(f'{cls.__name__}Twin', (mixin, cls), {})
