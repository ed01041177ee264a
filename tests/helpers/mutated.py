"""State dicts with one thing in them that no trained model has, and files that ask for more than they hold."""

from __future__ import annotations

import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.helpers.hostile import archive

State = dict[str, Tensor]
Mutation = Callable[[State, random.Random], str]


def _floats(state: State) -> list[str]:
    return [key for key, value in state.items() if value.is_floating_point() and value.numel()]


def _any_value(change: Callable[[Tensor], Tensor]) -> Mutation:
    def mutate(state: State, rng: random.Random) -> str:
        key = rng.choice(_floats(state))
        state[key] = change(state[key].clone())
        return key

    return mutate


def _first_number(number: float) -> Callable[[Tensor], Tensor]:
    def change(value: Tensor) -> Tensor:
        value.view(-1)[0] = number
        return value

    return change


def _negative_variance(state: State, rng: random.Random) -> str:
    key = rng.choice([key for key in state if key.endswith(('running_var', '_variance'))])
    state[key] = state[key].clone() - 10
    return key


def _wrong_rows(state: State, rng: random.Random) -> str:
    """One output more or less of a layer outside of the backbone, without its bias."""
    key = rng.choice(_head_weights(state))
    value = state[key]
    state[key] = torch.cat([value, value[:1]]) if rng.random() < 0.5 or len(value) < 2 else value[:-1].clone()
    return key


def _head_weights(state: State) -> list[str]:
    heads = ('head', 'fc_', 'classifier', 'conv_seg', 'rpn', 'roi', 'cls_', 'cls.', 'aux', 'ocr')
    return [k for k, v in state.items() if k.endswith('weight') and v.dim() >= 2 and any(h in k for h in heads)]


def _long_bias(state: State, rng: random.Random) -> str:
    keys = [key for key in state if key.endswith('.bias') and f'{key[:-4]}weight' in state]
    key = rng.choice(keys)
    state[key] = torch.cat([state[key], state[key][:1]])
    return key


def _deep_weight(state: State, rng: random.Random) -> str:
    key = rng.choice([key for key, value in state.items() if value.dim() >= 2])
    state[key] = state[key].flatten(1).unsqueeze(0)
    return key


def _huge_number(state: State, rng: random.Random) -> str:
    key = rng.choice([key for key in state if any(part.isdigit() for part in key.split('.'))])
    parts = key.split('.')
    at = rng.choice([i for i, part in enumerate(parts) if part.isdigit()])
    parts[at] = '987654321'
    state['.'.join(parts)] = state.pop(key)
    return key


MUTATIONS: dict[str, Mutation] = {
    'NaN': _any_value(_first_number(float('nan'))),
    'infinite': _any_value(_first_number(float('inf'))),
    'integers': _any_value(lambda value: value.to(torch.int32)),
    'bool': _any_value(lambda value: value > 0),
    'complex': _any_value(lambda value: value.to(torch.complex64)),
    'scalar': _any_value(lambda value: value.view(-1)[0].clone()),
    'empty': _any_value(lambda value: value[:0] if value.dim() else value.new_zeros(0)),
    'negative variance': _negative_variance,
    'wrong rows': _wrong_rows,
    'long bias': _long_bias,
    'another dimension': _deep_weight,
    'huge number in a key': _huge_number,
    'sparse': _any_value(lambda value: value.to_sparse()),
    'meta': _any_value(lambda value: value.to('meta')),
    'expanded': _any_value(lambda value: value.view(-1)[:1].expand(10**9)),
}
"""By name; each changes a state dict and returns the key it has changed."""


def greedy_files(folder: Path) -> dict[str, Path]:
    """Small files that ask for much memory or time, by what they do."""
    one, shared, kernel = torch.ones(1), torch.ones(250_000), torch.ones(4, 4, 3, 3)
    digits = 'backbone.stage2.987654321.branches'
    contents = {
        'expanded': {'backbone.conv1.weight': one.expand(64, 10**8)},
        '200,000 keys': {f'backbone.layer{i}': one for i in range(200_000)},
        'views of one storage': {f'backbone.{i}': shared[i:] for i in range(10_000)},
        'nine digits': {f'{digits}.{i}.0.conv1.weight': kernel for i in (0, 1)},
    }
    found = {}
    for name, content in contents.items():
        found[name] = folder / f'{name.replace(" ", "-")}.pth'
        torch.save(content, found[name])
    data = np.zeros(100_000, np.float32)
    found['one array many times'] = folder / 'one.pdparams'
    found['one array many times'].write_bytes(_shared_arrays(data, 12_000))
    found['deflated'] = folder / 'deflated.pth'
    with zipfile.ZipFile(folder / 'nine-digits.pth') as packed:
        records = {name: packed.read(name) for name in packed.namelist()}
    records['x/data/9'] = bytes(50_000_000)
    found['deflated'].write_bytes(archive(records, zipfile.ZIP_DEFLATED))
    return found


def _shared_arrays(data: np.ndarray, count: int) -> bytes:
    """A pickle of arrays that all have one bytes object for their data."""

    class Same:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def __reduce__(self):
            make, args, state = data.__reduce__()
            return make, args, (*state[:-1], self.content)

    content = data.tobytes()
    return pickle.dumps({f'a{i}': Same(content) for i in range(count)}, 2)
