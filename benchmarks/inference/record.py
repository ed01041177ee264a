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

from benchmarks.inference.cases import FIRST, TOOL, Case
from benchmarks.inference.environment import environment
from benchmarks.inference.floor import rates, work
from benchmarks.inference.measure import interleaved, peak_apart, prepare
from benchmarks.inference.networks import call, networks, outputs
from benchmarks.inference.profiles import shares
from benchmarks.inference.systems import System
from benchmarks.inference.tool import milliseconds
from hrnet_plugins.inference.precision import DTYPES


def record(
    cases: Sequence[Case],
    systems: Sequence[System],
    path: Path,
    *,
    device: str,
    minutes: float = float('inf'),
    memory: bool = True,
) -> dict[str, Any]:
    """Measure systems on cases and write the results to ``path``; a case is begun only within the minutes.

    Results there of the same machine, versions and commit are added to; others are written over. Systems that take
    minutes to be ready take part in the first case only when the minutes are limited, and in the memory's measurement
    only when they are not.
    """
    started = time.monotonic()
    dtypes = ('fp32', 'bf16') if device == 'cpu' else tuple(DTYPES)
    results = _begun(environment(device), path)
    results.setdefault('rates', {dtype: rates(device, DTYPES[dtype]) for dtype in dtypes})
    _write(results, path)
    if device == 'cuda':
        try:
            found: dict[str, Any] = {key: {'ms': ms} for key, ms in milliseconds().items()}
        except (OSError, ValueError) as error:
            found = {'all': {'failed': str(error)[:300]}}
        results['cases'][TOOL.name] = {'systems': found}
        _write(results, path)
    limited = minutes < float('inf')
    for number, case in enumerate(cases):
        if number and (time.monotonic() - started) / 60 > minutes:
            break
        chosen = [
            s for s in systems if s.runs(case.kind, device, case.arch) and not (number and limited and s.compiles)
        ]
        _record_case(case, chosen, results, path, device)
        if memory and number == 0:
            for system in chosen:
                found = results['cases'][case.name]['systems'][system.key]
                if 'ms' in found and not (limited and system.compiles):
                    found['peak_mb'] = peak_apart(system, case, device)
                    _write(results, path)
    return results


def _begun(where: dict[str, Any], path: Path) -> dict[str, Any]:
    """The results at ``path`` if they are from here and now, else none yet."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if where.items() <= found.items() else {**where, 'cases': {}, 'profiles': {}}


def _record_case(case: Case, systems: Sequence[System], results: dict[str, Any], path: Path, device: str) -> None:
    print(f'{case.name}:', flush=True)
    built = networks(case, device)
    expected = _plain_outputs(built)
    row: dict[str, Any] = {
        **work(lambda: call(built.ours, case, built.images), built.ours),
        'mparams': sum(p.numel() for p in built.ours.parameters()) / 1e6,
        'load': round(os.getloadavg()[0], 2),
        'systems': {},
    }
    results['cases'][case.name] = row
    calls = {}
    for system in systems:
        try:
            calls[system.key], row['systems'][system.key] = prepare(system, built, expected)
        except Exception as error:  # one system's failure is a result, not the end of the others
            row['systems'][system.key] = {'failed': f'{type(error).__name__}: {str(error).splitlines()[0][:150]}'}
        print(f'  {system.key}: {row["systems"][system.key]}', flush=True)
        _write(results, path)
    for key, found in interleaved(calls, device).items():
        row['systems'][key] |= found
        print(f'  {key}: {found["ms"]} ms', flush=True)
    if case == FIRST:
        results['profiles'][case.name] = {
            key: shares(run, device) for key, run in calls.items() if key.startswith(('ours, plain', 'ours, accel'))
        }
    _write(results, path)
    calls.clear()
    gc.collect()
    if device == 'cuda':
        torch.cuda.empty_cache()


@torch.no_grad()
def _plain_outputs(built: Any) -> list[torch.Tensor]:
    return outputs(built.ours, built.case, built.images)


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(results, indent=1) + '\n')
    draft.replace(path)
