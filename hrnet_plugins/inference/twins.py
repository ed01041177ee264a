"""The accelerated twin of each kind of model: what a backend runs, put where the framework's own code asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugins.inference.fast.make import mirror
from hrnet_plugins.inference.fast.mirror import Mirror, shell
from hrnet_plugins.inference.files import Run
from hrnet_plugins.inference.parts import PYRAMID_MIN_SIZE, Features, Part, kind_of
from hrnet_plugins.inference.patches import without_resize_warning
from hrnet_plugins.inference.precision import cast, precision_of

METHODS: Mapping[str, tuple[str, ...]] = {
    'classifier': ('forward', 'predict'),
    'segmentor': ('forward', 'predict', 'encode_decode'),
    'detector': ('forward', 'predict', 'extract_feat'),
    '': ('forward',),
}
"""Methods that the twin of each kind has faster; all others stay the plain model's."""


class _Logits(nn.Module):
    """Images (B, C, H, W) -> what a classifier's or segmentor's head gives: scores before softmax and resizing."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return _as_tuple(self.model.forward(images, mode='tensor'))  # its hooks run outside


class _Outputs(nn.Module):
    """Images (B, C, H, W), or whatever else a plain module takes -> what it gives, as a tuple."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return _as_tuple(self.model.forward(images))  # its hooks run outside


def accelerated_part(model: nn.Module) -> Part:
    """What a backend runs of a model: all of it; of a detector the backbone and the neck.

    In difference to ``exportable_part``, a segmentor's scores are not resized: the framework does that afterwards, to
    the size it wants.
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


def twin_of(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    """The model with ``run`` in the place of its part, and with its other layers in ``dtype`` where that is safe.

    It has the methods of the model, in eval mode; the results are in float32, those of a module without framework in
    the precision of its input.
    """
    return _TWINS[kind_of(model)](model, run, dtype)


def _classifier(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    return shell(model, _WithLogits, {'head': _given(model.head)} if model.head is not None else {}, run=run)


def _segmentor(model: Any, run: Run, dtype: torch.dtype) -> nn.Module:
    head = model.decode_head
    given = nn.ModuleList(map(_given, head)) if isinstance(head, nn.ModuleList) else _given(head)
    return shell(model, _WithLogits, {'decode_head': given}, run=run)


class _WithLogits(Mirror):
    """A classifier or segmentor whose features are the scores already."""

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        return cast(self.run(inputs), torch.float32)


class _Given(Mirror):
    """A head that receives its own result."""

    def forward(self, feats: Sequence[Tensor], *previous: Any) -> Tensor:
        return feats[0]


def _given(head: Any) -> nn.Module:
    return shell(head, _Given)


def _detector(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    heads = {
        name: child
        for name, child in model.named_children()
        if name not in ('backbone', 'neck', 'data_preprocessor') and child is not None
    }
    known = all(_is(head, *_REDUCED, 'BaseRoIHead') for head in heads.values())
    if dtype == torch.float32 or not known:
        twins = {name: mirror(head, torch.float32) for name, head in heads.items()}
        return shell(model, _WithFeatures, twins, run=run, dtype=torch.float32)
    twins = {name: mirror(head, torch.float32, within=_boundaries(head, dtype)) for name, head in heads.items()}
    return shell(model, _WithFeatures, twins, run=run, dtype=dtype)


_REDUCED = ('BaseDenseHead', 'BBoxHead', 'FCNMaskHead', 'FusedSemanticHead')
"""mmdet's heads that are all convolutions and linear layers until they return: safe in any precision."""


def _boundaries(head: nn.Module, dtype: torch.dtype) -> dict[nn.Module, tuple[type[Mirror], torch.dtype]]:
    """The outermost modules that compute, and how: in ``dtype``, or from inputs brought back to float32.

    RoI pooling is among the latter, as mmcv has it in float32 on a CPU, and boxes are rounded to pixels in bfloat16.
    """
    if _is(head, *_REDUCED):
        return {head: (_Reduced, dtype)}
    found: dict[nn.Module, tuple[type[Mirror], torch.dtype]] = {}
    for child in head.children():
        if isinstance(child, nn.ModuleList) or _is(child, *_REDUCED):
            found |= _boundaries(child, dtype)
        else:
            found[child] = (_Upcast, torch.float32)
    return found


class _Reduced(Mirror):
    """A head in another precision whose results are in float32."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return cast(super().forward(*cast(args, self.dtype), **cast(kwargs, self.dtype)), torch.float32)


class _Upcast(Mirror):
    """A module in float32 that receives features in another precision."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*cast(args, torch.float32), **cast(kwargs, torch.float32))


class _WithFeatures(Mirror):
    """A detector whose backbone and neck are run by a backend."""

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        return cast(self.run(batch_inputs), self.dtype)


def _module(model: nn.Module, run: Run, dtype: torch.dtype) -> nn.Module:
    return shell(model, _AsGiven, run=run)


class _AsGiven(Mirror):
    """A module of no framework: its outputs in the structure and in the precision that they have without us."""

    def forward(self, x: Any) -> Any:
        first = x if isinstance(x, Tensor) else x[0]
        if 'structure' not in self.__dict__:
            sample = x[:1, :, :256, :256] if isinstance(x, Tensor) and x.dim() == 4 else x
            self.__dict__['structure'] = type(self._plain(cast(sample, precision_of(self._plain))))
        outputs = cast(self.run(x), first.dtype)
        return outputs[0] if issubclass(self.structure, Tensor) else self.structure(outputs)


_TWINS = {'classifier': _classifier, 'segmentor': _segmentor, 'detector': _detector, '': _module}


def _is(module: nn.Module, *names: str) -> bool:
    return any(cls.__name__ in names and cls.__module__.startswith('mmdet.') for cls in type(module).__mro__)


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
