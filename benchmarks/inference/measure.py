"""Times of several systems in turns, what each takes to be ready, how its outputs differ, and its peak memory."""

from __future__ import annotations

import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.inference.cases import Case
from benchmarks.inference.networks import Networks, call, networks, outputs
from benchmarks.inference.systems import System, dtype_of

TURNS = (3, 15)
"""At least and at most so many timed calls of each system."""
SECONDS = 30.0
"""What the timed calls of one system may take together."""
LONG = 2000.0
"""Milliseconds from which a call needs no other before it."""
Call = Callable[[], object]


@torch.no_grad()
def prepare(system: System, case: Networks, expected: Sequence[Tensor] = ()) -> tuple[Call, dict[str, float]]:
    """Make a system ready and call it once; the call, the seconds that took, and the difference from what is expected.

    The difference is ``max|a - b| / max|b|`` of the worst output.
    """
    dtype = dtype_of(system)
    images = case.images.to(dtype)
    started = time.perf_counter()
    model = system.make(case, dtype)
    call(model, case.case, images)
    synchronize(images)
    seconds = time.perf_counter() - started
    found: dict[str, float] = {'setup_s': round(seconds, 2)}
    if expected:
        results = outputs(model, case.case, images)
        found['error'] = max(_difference(a, b) for a, b in zip(results, expected, strict=True))
    kind = case.case  # and not the networks, of which a measurement of memory keeps none
    return lambda: call(model, kind, images), found


@torch.no_grad()
def interleaved(calls: Mapping[str, Call], device: str) -> dict[str, dict[str, Any]]:
    """Milliseconds of each call, in turns, so that a machine's slow seconds touch all alike.

    Before each timed call, one that is not, unless calls take seconds: the other systems have used the caches and the
    threads meanwhile.
    """
    timer = _cuda_ms if device == 'cuda' else _cpu_ms
    first = {name: timer(run) for name, run in calls.items()}
    turns = {name: min(max(int(SECONDS * 500 / ms), TURNS[0]), TURNS[1]) for name, ms in first.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS[1]):
        for name, run in calls.items():
            if turn < turns[name]:
                if first[name] < LONG:
                    run()
                times[name].append(timer(run))
    return {
        name: {'ms': round(statistics.median(found), 3), 'best_ms': round(min(found), 3), 'calls': len(found)}
        for name, found in times.items()
    }


@torch.no_grad()
def peak_megabytes(system: System, case: Case, device: str) -> float:
    """What a call takes at its peak, weights and prepared copies included; only meaningful in a process of its own."""
    loaded = resident() if device == 'cpu' else 0.0
    built = networks(case, device)
    run, _ = prepare(system, built)
    del built
    gc.collect()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() / 1e6
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak of the preparation
    run()
    return status('VmHWM') - loaded


def peak_apart(system: System, case: Case, device: str) -> float | None:
    """``peak_megabytes`` in a process of its own, or ``None`` where that fails."""
    request = json.dumps(dict(system=system.key, case=case.name, device=device))
    command = [sys.executable, '-m', 'benchmarks.inference', '--peak', request]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else None


def synchronize(images: Tensor) -> None:
    """Wait until a GPU has finished."""
    if images.is_cuda:
        torch.cuda.synchronize()


def _cpu_ms(run: Call) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def _cuda_ms(run: Call) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def resident() -> float:
    """Megabytes of main memory that this process has now."""
    return status('VmRSS')


def status(field: str) -> float:
    """A size of this process in megabytes."""
    (line,) = (line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
