"""Rows that the tables of several formats have in common."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hrnet_plugins.weights.formats.spec import Row

NORM: Mapping[str, str] = MappingProxyType(
    {name: name for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')}
)
"""Entries of a batch norm: a format's name and ours."""


def same(template: str) -> tuple[str, str]:
    """A name that does not change."""
    return template, template


def linear(source: str, target: str) -> tuple[Row, ...]:
    """Weight and bias: a linear layer, a convolution with bias, a group norm."""
    return tuple(Row(f'{source}.{name}', f'{target}.{name}') for name in ('weight', 'bias'))


def norm(source: str, target: str, names: Mapping[str, str] = NORM, *, optional: bool = False) -> tuple[Row, ...]:
    """A batch norm. ``num_batches_tracked`` may be absent: PyTorch wrote none before 0.4.1."""
    return tuple(
        Row(f'{source}.{old}', f'{target}.{new}', optional or new == 'num_batches_tracked')
        for old, new in names.items()
    )


def conv_norm(conv: str, batch_norm: str, target: str, *, bias: bool = False) -> tuple[Row, ...]:
    """A convolution and the batch norm after it, to a ``ConvModule`` at ``target``.

    A bias arrives as ``target.conv.bias``, which no ``ConvModule`` with a norm has: ``values.FOLD_BIAS`` removes it.
    """
    rows = linear(conv, f'{target}.conv') if bias else (Row(f'{conv}.weight', f'{target}.conv.weight'),)
    return (*rows, *norm(batch_norm, f'{target}.bn'))


def bottleneck(source: str, target: str) -> tuple[Row, ...]:
    """A bottleneck block; it has a ``downsample`` only where it changes the number of channels."""
    rows: list[Row] = []
    for i in (1, 2, 3):
        rows.append(Row(f'{source}.conv{i}.weight', f'{target}.conv{i}.weight'))
        rows += norm(f'{source}.bn{i}', f'{target}.bn{i}')
    rows.append(Row(f'{source}.downsample.0.weight', f'{target}.downsample.0.weight', optional=True))
    rows += norm(f'{source}.downsample.1', f'{target}.downsample.1', optional=True)
    return tuple(rows)
