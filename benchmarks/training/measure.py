"""Times of several trainings in turns, what each keeps for backward, and the peak of its process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.inference.measure import resident, status
from benchmarks.training.cases import Case
from benchmarks.training.networks import Training
from benchmarks.training.systems import DTYPES, System

TURNS = (3, 9)
"""At least and at most so many timed steps of each system."""
SECONDS = 30.0
"""What the timed steps of one system may take together."""


def saved_megabytes(training: Training, dtype: torch.dtype) -> tuple[float, float]:
    """What a forward keeps for backward, without parameters and statistics, and the loss.

    Memory that tensors share counts once.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*training.model.parameters(), *training.model.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> None:
        # Held, so that no other gets its address; without its history, which would hold the tensor in turn for ever.
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()

    device = next(training.model.parameters()).device.type
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda _: None),
        torch.autocast(device, dtype=torch.bfloat16, enabled=dtype != torch.float32),
    ):
        loss = training.loss(training.model)
    size = sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in own)
    return size / 1e6, float(loss.detach())


def interleaved(trainings: Mapping[str, tuple[Training, torch.dtype]], device: str) -> dict[str, dict[str, Any]]:
    """Milliseconds of each step, in turns, so that a machine's slow seconds touch all alike.

    ``cpu_ms`` is the processors' time, which other processes on the machine lengthen less than the clock's.
    """
    first = {name: step_ms(training, dtype, device)[0] for name, (training, dtype) in trainings.items()}
    turns = {name: min(max(int(SECONDS * 1e3 / ms), TURNS[0]), TURNS[1]) for name, ms in first.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in trainings}
    for turn in range(TURNS[1]):
        for name, (training, dtype) in trainings.items():
            if turn < turns[name]:
                times[name].append(step_ms(training, dtype, device))
    return {name: _summary(found) for name, found in times.items()}


def _summary(found: list[tuple[float, float]]) -> dict[str, Any]:
    clock, processors = zip(*found)
    return {
        'ms': round(statistics.median(clock), 1),
        'best_ms': round(min(clock), 1),
        'cpu_ms': round(min(processors), 1),
        'steps': len(found),
    }


def step_ms(training: Training, dtype: torch.dtype, device: str) -> tuple[float, float]:
    """Milliseconds of a step: of the clock, and of the processors."""
    if device == 'cuda':
        torch.cuda.synchronize()
    started, used = time.perf_counter(), time.process_time()
    training.step(dtype)
    if device == 'cuda':
        torch.cuda.synchronize()
    return (time.perf_counter() - started) * 1e3, (time.process_time() - used) * 1e3


def peak_megabytes(system: System, case: Case, device: str) -> float:
    """What a step takes at its peak, weights included; only meaningful in a process of its own."""
    loaded = resident() if device == 'cpu' else 0.0
    training = system.make(case, device)
    training.step(DTYPES[system.dtype])
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        training.step(DTYPES[system.dtype])
        return torch.cuda.max_memory_allocated() / 1e6
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak of the preparation
    training.step(DTYPES[system.dtype])
    return status('VmHWM') - loaded


def peak_apart(system: System, case: Case, device: str) -> float | None:
    """``peak_megabytes`` in a process of its own, or ``None`` where that fails."""
    request = json.dumps(dict(system=system.key, case=case.name, device=device))
    command = [sys.executable, '-m', 'benchmarks.training', '--peak', request]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None
