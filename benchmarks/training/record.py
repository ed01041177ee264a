"""Record cases one after the other, writing each result as soon as it is there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.inference.environment import commit_of, environment
from benchmarks.training.cases import Case
from benchmarks.training.measure import interleaved, peak_apart, saved_megabytes, step_ms
from benchmarks.training.networks import Training
from benchmarks.training.systems import DTYPES, UPSTREAM, System

Found = Iterator[tuple[str, dict[str, Any]]]
MEASURES = ('saved', 'time', 'peak')


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

    What is kept for backward comes first, then the times, then the peaks, each in a process of its own. Results there
    of the same machine and versions are added to; others are written over. When the minutes are limited, what takes
    minutes to compile does not take part.

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
        row = results['cases'].setdefault(case.name, {'systems': {}})
        row.update({f'{what}_commit': commit_of(Path(__file__).parent), f'{what}_load': _load()})
        print(f'{what}, {case.name}:', flush=True)
        for key, found in _MEASURED[what](case, chosen, device):
            row['systems'].setdefault(key, {}).update(found)
            print(f'  {key}: {found}', flush=True)
            _write(results, path)
    return results


def _begun(where: dict[str, Any], path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if where.items() <= found.items() else {**where, 'cases': {}}


def _load() -> float:
    """Processes that wanted to run, on average of a minute; beyond the processors' number the machine was shared."""
    return round(os.getloadavg()[0], 1)


def _saved(case: Case, systems: Sequence[System], device: str) -> Found:
    state = UPSTREAM.make(case, device).model.state_dict()
    for system in systems:
        try:
            training = _loaded(system, case, device, state)
            megabytes, loss = saved_megabytes(training, DTYPES[system.dtype])
            yield system.key, {'saved_mb': round(megabytes, 1), 'loss': loss}
        except Exception as error:  # one system's failure is a result, not the end of the others
            yield system.key, {'failed': f'{type(error).__name__}: {str(error).splitlines()[0][:150]}'}


def _times(case: Case, systems: Sequence[System], device: str) -> Found:
    state = UPSTREAM.make(case, device).model.state_dict()
    trainings = {}
    for system in systems:
        try:
            trainings[system.key] = _loaded(system, case, device, state), DTYPES[system.dtype]
            first = step_ms(*trainings[system.key], device)[0]
        except Exception as error:
            trainings.pop(system.key, None)
            yield system.key, {'failed': f'{type(error).__name__}: {str(error).splitlines()[0][:150]}'}
        else:
            yield system.key, {'first_ms': round(first, 1)}
    yield from interleaved(trainings, device).items()


def _peaks(case: Case, systems: Sequence[System], device: str) -> Found:
    for system in systems:
        yield system.key, {'peak_mb': peak_apart(system, case, device)}


def _loaded(system: System, case: Case, device: str, state: dict[str, Any]) -> Training:
    training = system.make(case, device)
    if training.model.state_dict().keys() == state.keys():
        training.model.load_state_dict(state)
    return training


_MEASURED: dict[str, Callable[[Case, Sequence[System], str], Found]] = {
    'saved': _saved,
    'time': _times,
    'peak': _peaks,
}


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(results, indent=1) + '\n')
    draft.replace(path)
