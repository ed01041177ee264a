"""A tiny architecture, reproducible weights, stored outputs, and the measure of equality."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hrnet_plugins import HRNetArch, Stage

REFERENCE = Path(__file__).parents[1] / 'reference'

TINY = HRNetArch(
    (
        Stage(1, (1,), (8,), 'BOTTLENECK'),
        Stage(1, (1, 1), (4, 8)),
        Stage(2, (1, 1, 1), (4, 8, 16)),
        Stage(1, (1, 1, 1, 1), (4, 8, 16, 32)),
    )
)


def extra_of(arch: HRNetArch) -> dict[str, dict[str, object]]:
    """The ``extra`` dictionary that upstream's classes take."""
    return {
        f'stage{i}': dict(
            num_modules=stage.modules,
            num_branches=len(stage.channels),
            block=stage.block,
            num_blocks=stage.blocks,
            num_channels=stage.channels,
        )
        for i, stage in enumerate(arch.stages, start=1)
    }


def fill_rule(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of one state dict entry, by the rule that made the stored reference outputs."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    if key.endswith('running_mean'):
        return rng.normal(0, 0.1, shape)
    if key.endswith('running_var'):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) >= 2:
        return rng.normal(0, math.sqrt(1 / math.prod(shape[1:])), shape)
    if key.endswith('.bias'):
        return rng.normal(0, 0.1, shape)
    return rng.uniform(0.25, 0.75, shape)


def filled(keys: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A state dict of these keys and shapes."""
    arrays = {key: fill_rule(key, tuple(shape)) for key, shape in keys.items()}
    return {k: torch.from_numpy(a if a.dtype == np.int64 else a.astype(np.float32)) for k, a in arrays.items()}


def fill(module: nn.Module) -> nn.Module:
    """Give a module reproducible weights and statistics, none of them at its initial value."""
    module.load_state_dict(filled({k: tuple(v.shape) for k, v in module.state_dict().items()}))
    return module


def image(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Standard normal pixels."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def assert_equal(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """``max|a - b| <= tolerance * max|b|``, shapes included."""
    assert a.shape == b.shape
    assert b.abs().max() > 0
    error = (a - b).abs().max() / b.abs().max()
    assert error <= tolerance, f'relative error {error:.2e}'


def reference(name: str) -> tuple[dict, dict[str, Tensor]]:
    """A stored case: its description, and the outputs of the official network."""
    case = json.loads((REFERENCE / f'{name}.json').read_text())
    with np.load(REFERENCE / f'{name}.npz') as arrays:
        return case, {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def fit_statistics(model, images):
    """Give batch norms the statistics that these images have, for a random model as tame as a trained one."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(images)
    return model
