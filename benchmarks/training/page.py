"""The page of the results: what to switch for which trouble, the bars, and every case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.training.cases import CASES
from benchmarks.training.systems import UPSTREAM

DEVICES = ('cpu', 'cuda')

HEAD = """# What training takes

Written by `python -m benchmarks.training`; `make bench` runs it for 15 minutes. Weights are made up and the same for
all; gradients are computed and dropped. `saved` is what a forward keeps for backward (parameters aside), `peak` what a
step takes in a process of its own, weights included, `time` the median of steps that the systems take in turns, and
`CPU` the least processors' time of a step, which other processes on the machine disturb less; a load beyond the
number of processors says that there were some. The factors are against
upstream's class in the same run.

## Which switch for which trouble

All are arguments of the backbone, of `hrnet_plugins.HRNet` and of the drop-in's classes: in somebody's config
`model=dict(backbone=dict(with_cp='norm'))`. Losses are the same but for rounding, and checkpoints fit either way.

| trouble | what to write | what it does |
| --- | --- | --- |
| none | nothing | with `norm_eval=True` and in frozen stages a convolution and its norm are one convolution |
| out of memory, and norms learn | `with_cp='norm'` | computes norms and ReLUs in backward again |
| still out of memory | `with_cp='module'` | keeps the maps between modules alone; each convolution runs twice |
| a middle way | `with_cp='block'`, or `True` | keeps the maps between residual blocks |
| slow on a CPU | `channels_last=True` | torch's convolutions and resizing are faster in that layout |
| out of memory, slow, with hardware for it | the tools' `--amp` | maps in 16 bits |
| slow on a GPU | `custom_hooks = [dict(type='hrnet_plugins.CompileHook')]` | residual blocks compiled |

`efficient_conv_bn_eval=False` turns the first line off. A GPU was not at hand for the last line, so it has no numbers.
"""


@dataclass(frozen=True)
class Bar:
    """A limit against upstream's class in the same run."""

    what: str
    case: str
    system: str
    saved: float
    time: float


_FIELDS = ('saved_mb', 'ms', 'cpu_ms')
_LIMITS = (
    ('pyramid', True, 'fixed statistics, float32', ('ours fp32', 'ours, channels_last fp32'), 0.60, 0.88),
    ('pyramid', True, 'fixed statistics, bf16 autocast', ('ours bf16', 'ours, channels_last bf16'), 0.33, 0.50),
    (
        'pyramid',
        False,
        'learning statistics, float32',
        ("ours, with_cp='norm' fp32", "ours, with_cp='norm', channels_last fp32"),
        0.60,
        1.05,
    ),
    ('hrnetv2', False, 'HRNetV2-W48, float32', ("ours, with_cp='norm', channels_last fp32",), 0.55, 0.85),
)
BARS = tuple(
    Bar(what, case.name, system, saved, time)
    for kind, fixed, what, systems, saved, time in _LIMITS
    for case in CASES
    for system in systems
    if (case.kind, case.fixed) == (kind, fixed)
)


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of the results by device."""
    parts = [HEAD]
    for device, found in results.items():
        parts.append('\n'.join(_device(device, found)))
    return '\n'.join(parts)


def _device(device: str, found: Mapping[str, Any]) -> Iterator[str]:
    versions = ', '.join(f'{name} {version}' for name, version in found['versions'].items())
    yield f'## {device.upper()}\n'
    yield f'{found["machine"]}; Python {found["python"]}, {versions}.\n'
    bars = list(_bars(found['cases'])) if device == 'cpu' else []
    if bars:
        yield '| at most | saved | time | CPU | |'
        yield '| --- | --- | --- | --- | --- |'
        yield from bars
        yield ''
    for name, row in found['cases'].items():
        yield from _case(name, row)


def _bars(cases: Mapping[str, Any]) -> Iterator[str]:
    for bar in BARS:
        systems = cases.get(bar.case, {}).get('systems', {})
        found, base = systems.get(bar.system, {}), systems.get(UPSTREAM.key, {})
        if 'saved_mb' in found and 'saved_mb' in base:
            cells = [f'{found[key] / base[key]:.2f}' if key in found and key in base else '' for key in _FIELDS]
            yield f'| {bar.what}: {bar.saved:.2f} / {bar.time:.2f} | {" | ".join(cells)} | `{bar.system}`, {bar.case} |'


def _case(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    base = row['systems'].get(UPSTREAM.key, {})
    measured = [what for what in ('saved', 'time', 'peak') if f'{what}_commit' in row]
    yield f'### {name}\n'
    yield '; '.join(f'{what} at {row[f"{what}_commit"]}, load {row[f"{what}_load"]}' for what in measured) + '.\n'
    yield '| | saved, MB | peak, MB | time, ms | CPU, ms | loss |'
    yield '| --- | --- | --- | --- | --- | --- |'
    for key, found in row['systems'].items():
        if 'failed' in found:
            yield f'| {key} | failed: {found["failed"]} | | | | |'
            continue
        cells = (_cell(found, base, field) for field in ('saved_mb', 'peak_mb', 'ms', 'cpu_ms'))
        yield f'| {key} | {" | ".join(cells)} | {_loss(found)} |'
    yield ''


def _loss(found: Mapping[str, Any]) -> str:
    return f'{found["loss"]:.6g}' if 'loss' in found else ''


def _cell(found: Mapping[str, Any], base: Mapping[str, Any], field: str) -> str:
    if found.get(field) is None:
        return ''
    factor = f' ({found[field] / base[field]:.2f}x)' if base.get(field) else ''
    return f'{found[field]:.0f}{factor}'
