"""Proxies of modules: a proxy reads what it does not have itself from the original."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from torch import nn


class Proxy(nn.Module):
    """Stands in for a module, the original, with tensors, submodules or methods of its own.

    An attribute that the proxy does not have is read from the original at the moment of the access. So an attribute
    that is set on the original later, such as a framework's ``test_cfg``, is never out of date in the proxy. Hooks are
    shared with the original.
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


def empty_proxy(plain: nn.Module, mixin: type[Proxy] = Proxy, **attributes: Any) -> nn.Module:
    """A proxy in eval mode that has no parameters, buffers and submodules yet.

    Args:
        plain: The original.
        mixin: A subclass of ``Proxy``, with the methods that replace those of the original's class.
        attributes: Attributes of the proxy's own.
    """
    proxy: nn.Module = object.__new__(_proxy_class(type(plain), mixin))  # type: ignore[arg-type]  # nn.Module's hash
    nn.Module.__init__(proxy)
    proxy.__dict__.update(attributes, _plain=plain, training=False)  # setattr would register ``plain`` as a submodule
    proxy._forward_pre_hooks = plain._forward_pre_hooks
    proxy._forward_hooks = plain._forward_hooks
    return proxy


def shallow_proxy(
    plain: nn.Module,
    mixin: type[Proxy],
    children: Mapping[str, nn.Module] = MappingProxyType({}),
    **attributes: Any,
) -> nn.Module:
    """A proxy in eval mode that shares the tensors and the submodules of the original.

    Args:
        plain: The original.
        mixin: A subclass of ``Proxy``, with the methods that replace those of the original's class.
        children: Submodules of the proxy's own, by name, instead of the original's.
        attributes: Attributes of the proxy's own.
    """
    proxy = empty_proxy(plain, mixin, **attributes)
    proxy._parameters, proxy._buffers = plain._parameters, plain._buffers
    proxy._modules = {**plain._modules, **children}
    return proxy


@cache
def _proxy_class(cls: type[nn.Module], mixin: type[Proxy]) -> type[nn.Module]:
    return type(f'{cls.__name__}Proxy', (mixin, cls), {})
