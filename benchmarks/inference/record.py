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

from benchmarks.inference.bars import COMPARED
from benchmarks.inference.cases import FIRST, TOOL, Case
from benchmarks.inference.environment import commit_of, environment
from benchmarks.inference.floor import rates, work
from benchmarks.inference.measure import interleaved, peak_apart, prepare
from benchmarks.inference.networks import call, networks, outputs
from benchmarks.inference.profiles import shares
from benchmarks.inference.systems import System
from benchmarks.inference.tool import milliseconds
from hrnet_plugins.inference.precision import DTYPES

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
    """Measure systems on cases and write the results to ``path``; nothing is begun but within the minutes.

    After the first case, the times of all come before the memory of any, and mmdet's tool, on a GPU, last. Results
    there of the same machine and versions are added to, each case with its commit; others are written over. When the
    minutes are limited, of the systems that take minutes to be ready only those take part that a bar is about, and on a
    CPU all in the times of the first case.
    """
    started = time.monotonic()
    dtypes = ('fp32', 'bf16') if device == 'cpu' else tuple(DTYPES)
    results = _begun(environment(device), path)
    results.setdefault('rates', {dtype: rates(device, DTYPES[dtype]) for dtype in dtypes})
    _write(results, path)
    limited = minutes < float('inf')

    def takes_part(system: System, case: Case, number: int, what: str) -> bool:
        if not system.runs(case.kind, device, case.arch):
            return False
        if not (system.compiles and limited):
            return True
        return what == 'time' and ((number == 0 and device == 'cpu') or (case, system.key) in COMPARED)

    first, others = cases[:1], cases[1:]
    tasks = [(what, case) for case in first for what in measure] + [(w, case) for w in measure for case in others]
    for number, (what, case) in enumerate(tasks):
        if number and (time.monotonic() - started) / 60 > minutes:
            break
        chosen = [s for s in systems if takes_part(s, case, number, what)]
        try:
            (_record_case if what == 'time' else _record_memory)(case, chosen, results, path, device)
        except RuntimeError as error:  # the model itself fails, such as by an operator that mmcv was built without
            print(f'  {case.name}: {error}', flush=True)
    if device == 'cuda' and (time.monotonic() - started) / 60 < minutes:
        _record_tool(results, path)
    return results


def _begun(where: dict[str, Any], path: Path) -> dict[str, Any]:
    """The results at ``path`` if they are from here and now, else none yet."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if where.items() <= found.items() else {**where, 'cases': {}, 'profiles': {}}


def _record_case(case: Case, systems: Sequence[System], results: dict[str, Any], path: Path, device: str) -> None:
    print(f'{case.name}:', flush=True)
    torch.compiler.reset()  # it gives up on code that it has compiled for several cases
    built = networks(case, device)
    expected = _plain_outputs(built)
    row: dict[str, Any] = {
        'commit': _commit(),
        **work(lambda: call(built.ours, case, built.images), built.ours),
        'mparams': sum(p.numel() for p in built.ours.parameters()) / 1e6,
        'load': round(os.getloadavg()[0], 2),
        'systems': {},
    }
    results['cases'][case.name] = row
    calls: dict[str, Any] = {}
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


def _record_tool(results: dict[str, Any], path: Path) -> None:
    try:
        found: dict[str, Any] = {key: {'ms': ms} for key, ms in milliseconds().items()}
    except (OSError, ValueError) as error:
        found = {'all': {'failed': str(error)[:300]}}
    results['cases'][TOOL.name] = {'commit': _commit(), 'systems': found}
    _write(results, path)


def _record_memory(case: Case, systems: Sequence[System], results: dict[str, Any], path: Path, device: str) -> None:
    """Add the peaks of those systems whose times are there."""
    row = results['cases'].get(case.name, {'systems': {}})
    for system in systems:
        found = row['systems'].get(system.key, {})
        if 'ms' in found:
            found['peak_mb'] = peak_apart(system, case, device)
            row['memory_commit'] = _commit()
            print(f'  {case.name}, {system.key}: {found["peak_mb"]} MB', flush=True)
            _write(results, path)


def _commit() -> str:
    return commit_of(Path(__file__).parent)


@torch.no_grad()
def _plain_outputs(built: Any) -> list[torch.Tensor]:
    return outputs(built.ours, built.case, built.images)


def _write(results: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix('.draft')
    draft.write_text(json.dumps(results, indent=1) + '\n')
    draft.replace(path)
