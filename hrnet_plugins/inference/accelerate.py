"""Fast inference in one call."""

from __future__ import annotations

from functools import cache, wraps
from typing import Any

import torch.fx
from torch import nn

from hrnet_plugins.inference.adapters import METHODS
from hrnet_plugins.inference.fast_copy import FastCopy
from hrnet_plugins.inference.part import kind_of
from hrnet_plugins.inference.precision import device_of, dtype_of
from hrnet_plugins.inference.runtimes.backends import compile_of
from hrnet_plugins.models.autocast import autocast


def accelerate(
    model: nn.Module, *, dtype: torch.dtype | str | None = None, backend: str = 'eager', log_difference: bool = False
) -> nn.Module:
    """The same model with a faster forward in eval mode.

    Returns a second view of the model: it has the same class, attributes, submodules, tensors and state dict. What
    changes in one changes in the other, the training mode too. ``model`` itself does not become faster.

    In training mode the view computes what the model computes. In eval mode it computes without gradients, with a fast
    copy of the weights. The copy is made at the first forward, and again after the weights have changed. ``autocast``
    has no effect on it: ``dtype`` states the precision. What follows the forward, such as ``torch.jit.trace``,
    ``torch.compile``, ``torch.export`` or ``torch.fx``, follows the plain model, and so do the replicas of
    ``nn.DataParallel``, which live for one forward only.

    Args:
        model: A backbone, a neck, both in an ``nn.Sequential``, or a model of mmdet, mmseg or mmpretrain. Of a
            detector the backend runs the backbone and the neck; PyTorch runs the heads.
        dtype: Precision inside: ``'fp32'``, ``'bf16'``, ``'fp16'``, or one of these as a ``torch.dtype``; ``None``
            means float32. A CPU without instructions for bfloat16 computes in float32, and the log says so. A
            framework's model returns float32, but ``extract_feat`` of a detector returns ``dtype``. Any other module
            returns the precision of its input. On a GPU float32 is as exact as PyTorch's settings let convolutions
            be; by default they round to TF32.
        backend: A key of ``BACKENDS``. ``'eager'`` needs no time to compile.
        log_difference: Log once how much the first outputs differ from the plain model's. This takes one forward of
            the plain model.

    Raises:
        ValueError: If an argument is unknown, or the backend's packages are not installed. In the forward: if the
            device is a CPU without instructions for float16.
    """
    if isinstance(model, Accelerated):
        model = model._fast_copy.plain
    fast_copy = FastCopy(
        model, dtype=dtype_of(dtype), backend=backend, compile_part=compile_of(backend), log_difference=log_difference
    )
    view: Accelerated = object.__new__(
        _view_class(type(model), kind_of(model))  # type: ignore[arg-type]  # nn.Module's hash
    )
    view.__dict__ = model.__dict__  # not a copy: an attribute that is set on one is set on the other
    object.__setattr__(view, '_fast_copy', fast_copy)
    return view


class Accelerated(nn.Module):
    """Base class of what ``accelerate`` returns."""

    __slots__ = ('_fast_copy',)  # outside the shared dictionary
    _fast_copy: FastCopy

    def train(self, mode: bool = True) -> Accelerated:
        """Set the mode of the model. Training mode drops the fast copy, which frees its memory."""
        if mode:
            self._fast_copy.drop()
        self._fast_copy.plain.train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> Accelerated:
        self._fast_copy.drop()
        self._fast_copy.plain._apply(*args, **kwargs)
        return self

    def _replicate_for_data_parallel(self) -> Any:
        return self._fast_copy.plain._replicate_for_data_parallel()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle and copy the plain model and the arguments, not the fast copy."""
        fast_copy = self._fast_copy
        return _restore, (fast_copy.plain, fast_copy.dtype, fast_copy.backend, fast_copy.log_difference)


def _restore(model: nn.Module, dtype: torch.dtype, backend: str, log_difference: bool) -> nn.Module:
    return accelerate(model, dtype=dtype, backend=backend, log_difference=log_difference)


def _is_followed(args: tuple[Any, ...]) -> bool:
    """True while something records the forward: a record must not hold the fast copy's private operators."""
    by_fx = any(isinstance(arg, torch.fx.Proxy) for arg in args)
    return by_fx or torch.jit.is_tracing() or torch.compiler.is_compiling()


@cache
def _view_class(cls: type[nn.Module], kind: str) -> type[Accelerated]:
    methods = {name: _accelerated_method(getattr(cls, name)) for name in METHODS[kind]}
    return type(f'Accelerated{cls.__name__}', (Accelerated, cls), methods)


def _accelerated_method(plain: Any) -> Any:
    name = plain.__name__

    @wraps(plain)  # tools such as torch.fx read the signature
    def method(self: Accelerated, *args: Any, **kwargs: Any) -> Any:
        fast_copy = self._fast_copy
        loss = 'loss' in (kwargs.get('mode'), *args[2:3])  # forward(inputs, data_samples, mode)
        if self.training or loss or _is_followed(args):
            return getattr(fast_copy.plain, name)(*args, **kwargs)
        with torch.no_grad(), autocast(device_of(fast_copy.plain).type, None):
            return getattr(fast_copy.current(), name)(*args, **kwargs)

    return method
