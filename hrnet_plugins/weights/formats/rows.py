"""Rows that the tables of several formats share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hrnet_plugins.weights.formats.spec import Component, Row

BACKBONE: tuple[str, ...] = (
    *('conv1', 'bn1', 'conv2', 'bn2', 'layer1'),
    *(f'transition{i}' for i in (1, 2, 3)),
    *(f'stage{i}' for i in (2, 3, 4)),
)
"""First names of the backbone's keys. They are the same in every format except PaddleClas's."""

NORM: Mapping[str, str] = MappingProxyType(
    {name: name for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')}
)
"""Entries of a batch norm: the format's name and OpenMMLab's."""


def backbone(prefix: str = '', names: tuple[str, ...] = BACKBONE) -> Component:
    """The backbone, whose keys only change what stands before them: ``prefix`` becomes ``backbone.``."""
    return Component('backbone', tuple(Row(f'{prefix}{name}.*', f'backbone.{name}.*') for name in names))


def same(template: str) -> tuple[str, str]:
    """Source and target of a row whose keys stay as they are."""
    return template, template


def linear(source: str, target: str) -> tuple[Row, ...]:
    """Weight and bias of a linear layer, a convolution or a group norm."""
    return tuple(Row(f'{source}.{name}', f'{target}.{name}') for name in ('weight', 'bias'))


def norm(source: str, target: str, names: Mapping[str, str] = NORM, *, optional: bool = False) -> tuple[Row, ...]:
    """A batch norm. ``num_batches_tracked`` is optional, as PyTorch has written it only since 0.4.1."""
    return tuple(
        Row(f'{source}.{old}', f'{target}.{new}', optional or new == 'num_batches_tracked')
        for old, new in names.items()
    )


def conv_norm(conv: str, batch_norm: str, target: str, *, bias: bool = False) -> tuple[Row, ...]:
    """A convolution and the batch norm after it. They become a ``ConvModule`` at ``target``.

    With ``bias`` the convolution has one, which is renamed to ``target.conv.bias``. A ``ConvModule`` with a norm has
    no such entry, so the format also needs ``values.FOLD_BIAS``, which removes it.
    """
    rows = linear(conv, f'{target}.conv') if bias else (Row(f'{conv}.weight', f'{target}.conv.weight'),)
    return (*rows, *norm(batch_norm, f'{target}.bn'))


def bottleneck(source: str, target: str) -> tuple[Row, ...]:
    """A bottleneck block. It has a ``downsample`` only where it changes the number of channels."""
    rows: list[Row] = []
    for i in (1, 2, 3):
        rows.append(Row(f'{source}.conv{i}.weight', f'{target}.conv{i}.weight'))
        rows += norm(f'{source}.bn{i}', f'{target}.bn{i}')
    rows.append(Row(f'{source}.downsample.0.weight', f'{target}.downsample.0.weight', optional=True))
    rows += norm(f'{source}.downsample.1', f'{target}.downsample.1', optional=True)
    return tuple(rows)
