"""Adapters: each stands in for a model of one kind, and runs a backend where the framework's code expects the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.part import PYRAMID_MIN_SIZE, Features, Part, Run, kind_of
from hrnet_plugins.inference.patches import without_resize_warning
from hrnet_plugins.inference.precision import cast, precision_of
from hrnet_plugins.inference.proxy import Proxy, shallow_proxy

METHODS: Mapping[str, tuple[str, ...]] = {
    'classifier': ('forward', 'predict'),
    'segmentor': ('forward', 'predict', 'encode_decode'),
    'detector': ('forward', 'predict', 'extract_feat'),
    '': ('forward',),
}
"""The accelerated methods of each kind of model. All other methods are those of the plain model."""


class _Logits(nn.Module):
    """Images (B, C, H, W) -> the output of a classifier's or segmentor's head: scores before softmax and resizing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return _as_tuple(self.model.forward(images, mode='tensor'))  # the adapter runs the model's hooks


class _Outputs(nn.Module):
    """The input of a module without framework, such as images (B, C, H, W) -> its outputs, as a tuple."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return _as_tuple(self.model.forward(images))  # the adapter runs the model's hooks


def accelerated_part(model: nn.Module) -> Part:
    """What a backend runs of a model: all of it; of a detector the backbone and the neck.

    Unlike in ``exportable_part``, the scores of a segmentor are not resized: the framework resizes them afterwards.
    """
    kind = kind_of(model)
    channels = getattr(getattr(model, 'backbone', model), 'in_channels', 3)
    module = {'detector': Features, '': _Outputs}.get(kind, _Logits)(model)
    return Part(
        module,
        (),
        '',
        channels if isinstance(channels, int) else 3,
        min_size=PYRAMID_MIN_SIZE if kind in ('detector', '') else Part.min_size,
        context=without_resize_warning if kind == 'segmentor' else nullcontext,
    )


def make_adapter(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    """An adapter for a model, in eval mode, with the methods of the model.

    A framework's model returns float32, any other module the precision of its input.

    Args:
        model: The model.
        run: Runs the accelerated part of the model.
        dtype: Precision of the layers outside of that part, where it is safe for them.
    """
    return _ADAPTERS[kind_of(model)](model, run, dtype)


def _classifier(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    children = {'head': _identity_head(model.head)} if model.head is not None else {}
    return shallow_proxy(model, _LogitsAdapter, children, run=run)


def _segmentor(model: Any, run: Run, dtype: torch.dtype) -> nn.Module:
    head = model.decode_head
    heads = nn.ModuleList(map(_identity_head, head)) if isinstance(head, nn.ModuleList) else _identity_head(head)
    return shallow_proxy(model, _LogitsAdapter, {'decode_head': heads}, run=run)


class _LogitsAdapter(Proxy):
    """A classifier or segmentor whose features are already the scores."""

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return cast(self.run(inputs), torch.float32)


class _IdentityHead(Proxy):
    """A head that returns the first of the features that it receives: they are already its scores."""

    def forward(self, feats: Sequence[Tensor], *previous: Any) -> Tensor:
        return feats[0]


def _identity_head(head: Any) -> nn.Module:
    return shallow_proxy(head, _IdentityHead)


def _detector(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    heads = {
        name: child
        for name, child in model.named_children()
        if name not in ('backbone', 'neck', 'data_preprocessor') and child is not None
    }
    known = all(_is(head, *_SAFE_HEADS, 'BaseRoIHead') for head in heads.values())
    if dtype == torch.float32 or not known:
        copies = {name: optimize(head, torch.float32) for name, head in heads.items()}
        return shallow_proxy(model, _DetectorAdapter, copies, run=run, dtype=torch.float32)
    copies = {
        name: optimize(head, torch.float32, overrides=_precision_overrides(head, dtype)) for name, head in heads.items()
    }
    return shallow_proxy(model, _DetectorAdapter, copies, run=run, dtype=dtype)


_SAFE_HEADS = ('BaseDenseHead', 'BBoxHead', 'FCNMaskHead', 'FusedSemanticHead')
"""Heads of mmdet that run only convolutions and linear layers until they return: safe in any precision."""


def _precision_overrides(head: nn.Module, dtype: torch.dtype) -> dict[nn.Module, tuple[type[Proxy], torch.dtype]]:
    """The outermost modules of a head that compute: in ``dtype`` where that is safe, else in float32.

    RoI pooling runs in float32: mmcv has no other precision on a CPU, and bfloat16 would round boxes to pixels.
    """
    if _is(head, *_SAFE_HEADS):
        return {head: (_LowPrecisionHead, dtype)}
    found: dict[nn.Module, tuple[type[Proxy], torch.dtype]] = {}
    for child in head.children():
        if isinstance(child, nn.ModuleList) or _is(child, *_SAFE_HEADS):
            found |= _precision_overrides(child, dtype)
        else:
            found[child] = (_Float32Module, torch.float32)
    return found


class _LowPrecisionHead(Proxy):
    """A head that computes in ``dtype`` and returns float32."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return cast(super().forward(*cast(args, self.dtype), **cast(kwargs, self.dtype)), torch.float32)


class _Float32Module(Proxy):
    """A module that converts its inputs to float32 and computes in it."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*cast(args, torch.float32), **cast(kwargs, torch.float32))


class _DetectorAdapter(Proxy):
    """A detector whose backbone and neck are run by a backend."""

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        return cast(self.run(batch_inputs), self.dtype)


def _module(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    return shallow_proxy(model, _ModuleAdapter, run=run)


class _ModuleAdapter(Proxy):
    """A module without framework: its outputs have the original's structure and the precision of the input."""

    def forward(self, x: Any) -> Any:
        first = x if isinstance(x, Tensor) else x[0]
        if 'structure' not in self.__dict__:
            sample = x[:1, :, :256, :256] if isinstance(x, Tensor) and x.dim() == 4 else x
            self.__dict__['structure'] = type(self._plain(cast(sample, precision_of(self._plain))))
        outputs = cast(self.run(x), first.dtype)
        return outputs[0] if issubclass(self.structure, Tensor) else self.structure(outputs)


_ADAPTERS = {'classifier': _classifier, 'segmentor': _segmentor, 'detector': _detector, '': _module}


def _is(module: nn.Module, *names: str) -> bool:
    return any(cls.__name__ in names and cls.__module__.startswith('mmdet.') for cls in type(module).__mro__)


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
