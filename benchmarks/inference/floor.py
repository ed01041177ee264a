"""The least a forward takes: its arithmetic at the rate of matrix products, its bytes at that of copies.

Winograd's convolutions do with less arithmetic than counted, so a system can be below the floor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inference.measure import synchronize

SIDES = {'cpu': 2048, 'cuda': 8192}
"""Of the multiplied matrices: enough that starting the product costs nothing."""
LONG_ENOUGH = 0.2
"""Seconds of a product from which larger matrices tell nothing more. Without instructions for bfloat16 a CPU takes
minutes for the largest."""
COPIED = 64 * 2**20
"""Elements of the copied tensor, far beyond any cache."""


@torch.no_grad()
def rates(device: str, dtype: torch.dtype) -> dict[str, float]:
    """GFLOP a second of a square matrix product, and GB a second of a copy, each byte read and written once.

    In float32 on a GPU the product may round as convolutions do.
    """
    source = torch.ones(COPIED, device=device, dtype=dtype)
    target = torch.empty_like(source)
    matmul = torch.backends.cuda.matmul
    rounds, matmul.allow_tf32 = matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    side, product = 256, 0.0
    while product < LONG_ENOUGH and side < SIDES[device]:
        side *= 2
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        product = _best_seconds(lambda a=a, b=b: a @ b, a)
    matmul.allow_tf32 = rounds
    copy = _best_seconds(lambda: target.copy_(source), source)
    return {
        'gflop_per_s': round(2 * side**3 / product / 1e9, 1),
        'gb_per_s': round(2 * source.nbytes / copy / 1e9, 2),
    }


@torch.no_grad()
def work(run: Callable[[], object], model: nn.Module) -> dict[str, float]:
    """GFLOP of a call, multiplications and additions each, and gigavalues that its convolutions read and write.

    Each convolution's input, weight and output counts once; everything between them is taken for free.
    """
    values = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal values
        values += inputs[0].numel() + output.numel() + sum(p.numel() for p in module.parameters())

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d)]
    try:
        with FlopCounterMode(display=False) as counter:
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return {'gflop': round(counter.get_total_flops() / 1e9, 2), 'gvalues': round(values / 1e9, 4)}


def floor_ms(work: dict[str, float], rates: dict[str, Any], dtype: str) -> float:
    """The larger of both, in milliseconds."""
    size = 4 if dtype == 'fp32' else 2
    rate = rates[dtype]
    return max(work['gflop'] / rate['gflop_per_s'], work['gvalues'] * size / rate['gb_per_s']) * 1e3


def _best_seconds(run: Callable[[], Tensor], like: Tensor) -> float:
    found = []
    for _ in range(6):  # the first prepares
        synchronize(like)
        started = time.perf_counter()
        run()
        synchronize(like)
        found.append(time.perf_counter() - started)
    return min(found[1:])
