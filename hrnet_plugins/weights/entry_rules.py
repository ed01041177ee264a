"""What holds for every entry of a model's state dict, whatever the model: dimensions, kinds of numbers, lengths.

All keys are OpenMMLab's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import torch

from hrnet_plugins.state_dicts import State, is_counter

_NORM = re.compile(r'(bn|gn|ln|norm)\d*$')
"""Last names of layers with one weight a channel."""
_LINEAR = re.compile(r'(^|\.)(\w*fc\w*|shared_fcs\.\d+|fcs\.\d+)\.weight$')
_BUILT = ('backbone.', 'neck.0.')
"""Parts whose shapes are compared with those of our own modules."""
_ANY = tuple(range(6))
_VECTORS = ('bias', 'running_mean', 'running_var')
_TRANSPOSED = '.upsample.weight'
"""End of the key of the one transposed convolution, whose outputs are its second dimension."""


def dimension_problems(state: State, name: Callable[[str], str] = str) -> list[str]:
    """One line for each entry that has not the number of dimensions that its name says.

    Args:
        state: The entries.
        name: How the lines write a key.
    """
    problems = []
    for key, value in state.items():
        wanted = _dimensions(key, state)
        if value.dim() not in wanted or 0 in value.shape:
            words = ' or '.join(map(str, wanted))
            problems.append(f'{name(key)}: {words} dimensions expected, found shape {tuple(value.shape)}')
    return problems


def _dimensions(key: str, state: State) -> tuple[int, ...]:
    layer, _, entry = key.rpartition('.')
    if is_counter(key):
        return (0, 1)
    if key.startswith(_BUILT):
        return _ANY
    if entry == 'scale':
        return (0, 1)
    if entry in _VECTORS:
        return (1,)
    if entry != 'weight':
        return _ANY
    if f'{layer}.running_mean' in state or _NORM.search(layer):
        return (1,)
    return (2,) if _LINEAR.search(key) else (4,)


def value_problems(state: State, name: Callable[[str], str] = str) -> list[str]:
    """One line for each entry whose values no trained model has: of another type, NaN, infinite, or below zero.

    Args:
        state: The entries; one without values (device meta) is not looked at.
        name: How the lines write a key.
    """
    problems = []
    for key, value in state.items():
        if value.is_meta:
            continue
        if is_counter(key):
            if value.is_complex() or value.dtype == torch.bool or bool((value.cpu() < 0).any()):
                problems.append(f'{name(key)}: a number of batches expected, found {value.dtype} {value.tolist()}')
        elif not value.is_floating_point() or value.element_size() < 2:
            problems.append(f'{name(key)}: floating point expected, found {value.dtype}')
        elif not bool(torch.isfinite(value).all()):
            problems.append(
                f'{name(key)}: {int((~torch.isfinite(value)).sum())} of {value.numel()} are NaN or infinite'
            )
        elif key.endswith('.running_var') and bool((value < 0).any()):
            problems.append(f'{name(key)}: {int((value < 0).sum())} of {value.numel()} variances are negative')
    return problems


def length_problems(state: State, name: Callable[[str], str] = str) -> list[str]:
    """One line for each vector that is not as long as its layer, or as the convolution before it, has outputs.

    Args:
        state: The entries.
        name: How the lines write a key.
    """
    problems = []
    for key, value in state.items():
        layer, _, entry = key.rpartition('.')
        weight = state.get(f'{layer}.weight')
        if entry in _VECTORS and weight is not None and weight.dim() and value.dim() == 1:
            outputs = weight.shape[1] if f'{layer}.weight'.endswith(_TRANSPOSED) else weight.shape[0]
            if value.shape[0] != outputs:
                problems.append(f'{name(key)}: {outputs} expected as in {name(f"{layer}.weight")}, found {len(value)}')
        conv = state.get(f'{layer.rpartition(".")[0]}.conv.weight')
        is_norm = entry == 'weight' and layer.endswith(('.bn', '.gn')) and value.dim() == 1
        if is_norm and conv is not None and conv.dim() and value.shape[0] != conv.shape[0]:
            problems.append(f'{name(key)}: {conv.shape[0]} expected, one an output before it, found {len(value)}')
    return problems
