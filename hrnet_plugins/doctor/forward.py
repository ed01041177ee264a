"""A small forward whose result is stored: it tells whether an installation computes right.

Weights and image are made by integer arithmetic alone, so they are the same with every release of NumPy and PyTorch.
The stored values are those of mmdetection's own HRNet and HRFPN in float64; a test computes them anew.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hrnet_plugins.archs import HRNetArch, Stage
from hrnet_plugins.inference.accelerate import accelerate
from hrnet_plugins.models import HRFPN, HRNet

ARCH = HRNetArch(
    (
        Stage(1, (1,), (8,), 'BOTTLENECK'),
        Stage(1, (1, 1), (4, 8)),
        Stage(1, (1, 1, 1), (4, 8, 16)),
        Stage(1, (1, 1, 1, 1), (4, 8, 16, 32)),
    )
)
"""A tiny HRNet of four branches."""

IMAGE = (2, 3, 64, 96)
NECK_CHANNELS = 8
STEP = 17
"""Of the values of the five maps, flat and one after the other, each seventeenth is stored."""

REFERENCE = Path(__file__).with_name('reference.json')


@dataclass(frozen=True)
class Case:
    """One way to compute.

    Args:
        name: What is said of it.
        device: ``cpu`` or ``cuda``.
        dtype: The precision of ``accelerate``; ``None`` computes with the plain model.
        tolerance: Greatest difference that is right, as a part of the greatest value.
    """

    name: str
    device: str = 'cpu'
    dtype: str | None = None
    tolerance: float = 1e-5


CASES = tuple(
    Case(f'{name}{" on the GPU" if device == "cuda" else ""}', device, dtype, tolerance)
    for device in ('cpu', 'cuda')
    for name, dtype, tolerance in (
        ('plain model', None, 1e-5),
        ('accelerated in float32', 'fp32', 1e-5),
        ('accelerated in bfloat16', 'bf16', 5e-2),
    )
)
"""What is computed where there is such a device."""


def difference(case: Case) -> float | None:
    """Greatest difference from the stored values, as a part of the greatest; ``None`` where the device is not there."""
    if case.device == 'cuda' and not torch.cuda.is_available():
        return None
    model = nn.Sequential(HRNet(ARCH), HRFPN(ARCH.channels, NECK_CHANNELS))
    model.load_state_dict(weights({key: tuple(value.shape) for key, value in model.state_dict().items()}))
    model.eval().to(case.device)
    run = model if case.dtype is None else accelerate(model, dtype=case.dtype)
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = sample(run(image().to(case.device)))
    expected = torch.tensor(json.loads(REFERENCE.read_text(encoding='utf-8')), dtype=torch.float64)
    error = (found - expected).abs().max() / expected.abs().max()
    return float('inf') if error.isnan() else float(error)


def image() -> Tensor:
    """The image (B, 3, H, W), with values from -1 to 1."""
    return torch.from_numpy(_uniform('image', IMAGE).astype(np.float32))


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A value for each entry of a state dict, which its name and shape decide."""
    return {key: torch.from_numpy(_entry(key, shape)) for key, shape in shapes.items()}


def sample(maps: tuple[Tensor, ...]) -> Tensor:
    """The values that are stored of some maps, in float64."""
    return torch.cat([each.detach().cpu().double().contiguous().flatten() for each in maps])[::STEP]


def _entry(key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    value = _uniform(key, shape)
    if len(shape) > 1:  # keeps the variance of what a ReLU lets through (He et al., arXiv:1502.01852)
        value = value * math.sqrt(6 / math.prod(shape[1:]))
    elif key.endswith('running_var'):
        value = 1 + value / 2
    elif key.endswith('weight'):
        value = 0.75 + value / 4
    else:
        value = value / 10
    return value.astype(np.float32)


def _uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values from -1 to 1 by SplitMix64 (Steele et al., OOPSLA 2014) of a key's checksum and the place."""
    x = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) + np.uint64(zlib.crc32(key.encode()) << 20)
    x = x * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(11)).astype(np.float64) / 2**52 - 1).reshape(shape)
