"""Fast inference in one call."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

from hrnet_plugins.inference.backends import compile_of
from hrnet_plugins.inference.engine import Engine
from hrnet_plugins.inference.parts import kind_of
from hrnet_plugins.inference.precision import dtype_of
from hrnet_plugins.inference.twins import METHODS


def accelerate(
    model: nn.Module, *, dtype: torch.dtype | str | None = None, backend: str = 'eager', announce: bool = False
) -> nn.Module:
    """The same model with a faster forward in eval mode.

    What is returned is a second view of the model: it has the same class, attributes, submodules, tensors and state
    dict, and what changes in one changes in the other, the training mode too; the model itself stays as slow as it is.
    In training mode the view computes what the model does. In eval mode it computes with a folded copy of the weights,
    made at the first forward and again after they changed, without gradients.

    Args:
        model: A backbone, a neck, both in an ``nn.Sequential``, or a model of mmdet, mmseg or mmpretrain. Of a
            detector the backend runs the backbone and the neck; its heads are run by PyTorch.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'`` or as torch names them, for what is inside; ``None`` means float32.
            A framework's model returns float32 (a detector's ``extract_feat``, this precision), any other module the
            precision of its input. On a GPU float32 is as exact as PyTorch's own settings let convolutions be, which
            by default round to TF32.
        backend: A key of ``BACKENDS``. ``'eager'`` needs no time to prepare.
        announce: Log once how much the first outputs differ from the plain model's, which takes one plain forward.

    Raises:
        ValueError: If an argument is unknown, or the backend's packages are not installed. In the forward: if the
            device has no instructions for the precision.
    """
    if isinstance(model, Accelerated):
        model = model._engine.plain
    engine = Engine(model, dtype=dtype_of(dtype), backend=backend, compile_part=compile_of(backend), announce=announce)
    view: Accelerated = object.__new__(
        _view_class(type(model), kind_of(model))  # type: ignore[arg-type]  # nn.Module's hash
    )
    view.__dict__ = model.__dict__  # not a copy: whatever is set on one is set on the other
    object.__setattr__(view, '_engine', engine)
    return view


class Accelerated(nn.Module):
    """Base of what ``accelerate`` returns."""

    __slots__ = ('_engine',)  # outside the shared dictionary
    _engine: Engine

    def train(self, mode: bool = True) -> Accelerated:
        """Set the mode of the model; the fast copy is dropped before training, which also frees its memory."""
        if mode:
            self._engine.drop()
        self._engine.plain.train(mode)
        return self

    def _apply(self, *args: Any, **kwargs: Any) -> Accelerated:
        self._engine.drop()
        self._engine.plain._apply(*args, **kwargs)
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle and copy the plain model and the choices, not the fast copy."""
        engine = self._engine
        return _restore, (engine.plain, engine.dtype, engine.backend, engine.announce)


def _restore(model: nn.Module, dtype: torch.dtype, backend: str, announce: bool) -> nn.Module:
    return accelerate(model, dtype=dtype, backend=backend, announce=announce)


@cache
def _view_class(cls: type[nn.Module], kind: str) -> type[Accelerated]:
    return type(f'Accelerated{cls.__name__}', (Accelerated, cls), {name: _faster(name) for name in METHODS[kind]})


def _faster(name: str) -> Any:
    def method(self: Accelerated, *args: Any, **kwargs: Any) -> Any:
        engine = self._engine
        if self.training or 'loss' in (kwargs.get('mode'), *args[2:3]):  # forward(inputs, data_samples, mode)
            return getattr(engine.plain, name)(*args, **kwargs)
        with torch.no_grad():
            return getattr(engine.twin(), name)(*args, **kwargs)

    method.__name__ = name
    return method
