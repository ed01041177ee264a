"""Record cases one after the other, writing each result as soon as it is there."""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.inference.environment import commit_of, environment
from benchmarks.training.cases import Case
from benchmarks.training.measure import interleaved, peak_apart, saved_megabytes
from benchmarks.training.systems import DTYPES, UPSTREAM, System

MEASURES = ('time', 'memory')


def record(
    cases: Sequence[Case],
    systems: Sequence[System],
    path: Path,
    *,
    device: str,
    minutes: float = float('inf'),
    measure: Sequence[str] = MEASURES,
) -> dict[str, Any]:
    """Measure systems on cases and write the results to ``path``; no case is begun but within the minutes.

    Times and what is kept for backward come first, then the peaks, each in a process of its own. Results there of the
    same machine and versions are added to; others are written over. When the minutes are limited, what takes minutes to
    compile does not take part.

    Denormal numbers are flushed: made-up weights make some, which take a hundred times as long and which no real
    training has.
    """
    torch.set_flush_denormal(True)
    started = time.monotonic()
    results = _begun(environment(device), path)
    limited = minutes < float('inf')
    tasks = [(what, case) for what in measure for case in cases]
    for number, (what, case) in enumerate(tasks):
        if number and (time.monotonic() - started) / 60 > minutes:
            break
        chosen = [s for s in systems if s.runs(case) and not (s.compiles and limited)]
        if what == 'time':
            _record_case(case, chosen, results, path, device)
        else:
            _record_peaks(case, chosen, results, path, device)
    return results


def _begun(where: dict[str, Any], path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if where.items() <= found.items() else {**where, 'cases': {}}


def _record_case(case: Case, systems: Sequence[System], results: dict[str, Any], path: Path, device: str) -> None:
    print(f'{case.name}:', flush=True)
    row: dict[str, Any] = {'commit': _commit(), 'load': round(os.getloadavg()[0], 2), 'systems': {}}
    results['cases'][case.name] = row
    trainings: dict[str, Any] = {}
    state = UPSTREAM.make(case, device).model.state_dict()
    for system in systems:
        try:
            training = system.make(case, device)
            if training.model.state_dict().keys() == state.keys():
                training.model.load_state_dict(state)
            dtype = DTYPES[system.dtype]
            found = {'saved_mb': round(saved_megabytes(training, dtype), 1), 'loss': training.step(dtype)}
            trainings[system.key] = training, dtype
        except Exception as error:  # one system's failure is a result, not the end of the others
            found = {'failed': f'{type(error).__name__}: {str(error).splitlines()[0][:150]}'}
        row['systems'][system.key] = found
        print(f'  {system.key}: {found}', flush=True)
        _write(results, path)
    for key, found in interleaved(trainings, device).items():
        row['systems'][key] |= found
        print(f'  {key}: {found["ms"]} ms', flush=True)
    row['load_after'] = round(os.getloadavg()[0], 2)
    _write(results, path)
    trainings.clear()
    gc.collect()


def _record_peaks(case: Case, systems: Sequence[System], results: dict[str, Any], path: Path, device: str) -> None:
    """Add the peaks of those systems whose times are there."""
    row = results['cases'].get(case.name, {'systems': {}})
    for system in systems:
        found = row['systems'].get(system.key, {})
        if 'ms' in found:
            found['peak_mb'] = peak_apart(system, case, device)
            print(f'  {case.name}, {system.key}: {found["peak_mb"]} MB', flush=True)
            _write(results, path)


def _commit() -> str:
    return commit_of(Path(__file__).parent)


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(results, indent=1) + '\n')
    draft.replace(path)
