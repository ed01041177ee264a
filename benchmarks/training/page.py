"""The page of the results: what to switch for which trouble, the bars, and every case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.training.cases import CASES, SIDE, Case
from benchmarks.training.systems import UPSTREAM

DEVICES = ('cpu', 'cuda')

HEAD = """# What training takes

Written by `python -m benchmarks.training`; `make bench` runs it for 15 minutes. Weights are made up and the same for
all; gradients are computed and dropped. `saved` is what a forward keeps for backward (parameters aside), `peak` what a
step takes in a process of its own, weights included, `time` the median of steps that the systems take in turns, and
`CPU` the least processors' time of a step, which other processes on the machine disturb less; a load beyond the
number of processors says that there were some. `first` is the first step, which compiles where that is asked for. The
factors are against upstream's class in the same run.

## Which switch for which trouble

All are arguments of the backbone, of `hrnet_plugins.HRNet` and of the drop-in's classes: in somebody's config
`model=dict(backbone=dict(with_cp='norm'))`. Losses are the same but for rounding, and checkpoints fit either way. The
factors are what is kept for backward and the time of a step, W18 with its neck, two images of 512x512, on the CPU
below, against mmdet's classes: with fixed statistics, and with norms that learn them.
"""

WHY = """`efficient_conv_bn_eval=False` turns the first line off. What follows the second line was measured together
with it. A GPU was not at hand for the last line; on a CPU it wins nothing, see below.

## Where the time goes, and why a bar is missed

Measured by hand, not by the program above: least processor's time on one core of the Xeon below, which has AVX512's
bfloat16 instructions and no AMX; torch 2.11 with oneDNN 3.10, W18 with HRFPN, 2x3x256x256, fixed statistics.
Other programs ran on the machine; each table or sentence is one run. Convolutions take four fifths of upstream's step
in the profiler: 58 % backward, 23 % forward. The least times of each shape, times how often it occurs, in ms:

| all convolutions | float32 | float32, channels-last | bf16 | bf16, channels-last |
| --- | --- | --- | --- | --- |
| forward | 324 | 233 | 532 | 415 |
| backward, for inputs | 359 | 251 | 565 | 422 |
| backward, for weights | 351 | 286 | 580 | 502 |

- **bf16 autocast, 0.50x.** oneDNN has its fast kernels (`brg_conv`, `jit_bf16`) for every shape, and they run at the
  hardware's rate. That rate is the trouble: a matrix product of 1024x1024 makes 81 GFLOPS in bfloat16 and 150 in
  float32, as the largest convolution does (9.7 GFLOP: 111 ms and 59 ms). Half of float32's time would need twice
  float32's rate. So on such processors convolutions compute in float32, and keep their maps in bfloat16. With
  bfloat16's own arithmetic a step took 1.28x of upstream's float32 in an earlier run, recorded at ba97c2c. At
  800x1344, where memory weighs more, W32 takes 0.48, W18 0.55 and W48 0.64.
- **Why `channels_last` is faster.** In torch's other layout channels of 18 and 36 are padded to blocks of 16: a 3x3
  convolution of 18 channels takes 3.8 ms forward and backward, and 1.9 ms in channels-last. The norms that learn
  statistics are slower there in torch, 7.0 ms for 2x18x128x128 forward and backward, and in groups of four pixels 1.7
  ms: so ours computes them. Bilinear resizing's backward is 12.8 ms for a contiguous gradient of 2x256x64x64 and 0.8 ms
  for one in channels-last: so ours converts it first.
- **Small maps.** At 256x256 and with one thread, what `with_cp='norm'` computes again weighs more: the step took 1.08x
  of upstream's. With the batch's mean and deviation kept from forward, so that the second forward only scales and
  shifts, it took no less.
- **Fixed statistics at small sizes.** The norm is multiplied into the weight by autograd's own operators, and the
  scaled weight is kept; where the map is smaller than the weight, convolution and norm are two steps and the map is
  kept. A Function in Python that kept neither took 0.2 to 0.5 ms for each of 305 convolutions: at 256x256 a step
  took 1.10 of upstream's time, and now 0.96.
- **`torch.compile`.** Compiled as wholes, for one size, backbone and neck take 0.79 of the time (upstream's classes)
  and 0.81 (ours) at 256x256, after a first step of 244 and 203 s on one core, and as long again for each other size.
  `channels_last=True` without a compiler takes 0.77. `CompileHook` compiles for 36 to 50 s, in part again at the second
  size and then no more; steps then take 1.00 and in channels-last 0.93, more than uncompiled. That is not for the open
  sizes: compiled for one size the blocks took 981 and 882 ms, uncompiled 913 and 762 in the same run.
"""


@dataclass(frozen=True)
class Switch:
    """What to write in which trouble, and the system that shows what it gives, if one is measured."""

    trouble: str
    write: str
    effect: str
    system: str | None


SWITCHES = (
    Switch('none', 'nothing', 'a convolution and its norm with fixed statistics are one convolution', 'ours fp32'),
    Switch(
        'slow on a CPU',
        '`channels_last=True`',
        "torch's convolutions and resizing are faster in that layout",
        'ours, channels_last fp32',
    ),
    Switch(
        'out of memory, and norms learn',
        "`with_cp='norm'`",
        'computes norms and ReLUs in backward again',
        "ours, with_cp='norm', channels_last fp32",
    ),
    Switch(
        'still out of memory',
        "`with_cp='module'`",
        'keeps the maps between modules alone; each convolution runs twice',
        "ours, with_cp='module', channels_last fp32",
    ),
    Switch(
        'a middle way',
        "`with_cp='block'`, or `True`",
        'keeps the maps between residual blocks',
        "ours, with_cp='block', channels_last fp32",
    ),
    Switch(
        'out of memory',
        "the tools' `--amp`",
        'maps in 16 bits; faster only where the hardware multiplies those faster',
        'ours, channels_last bf16',
    ),
    Switch(
        'slow on a GPU',
        "`custom_hooks = [dict(type='hrnet_plugins.CompileHook')]`",
        'residual blocks compiled',
        None,
    ),
)


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
    parts = [HEAD, '\n'.join(_switches(results.get('cpu', {}).get('cases', {}))), WHY]
    for device, found in results.items():
        parts.append('\n'.join(_device(device, found)))
    return '\n'.join(parts)


def _switches(cases: Mapping[str, Any]) -> Iterator[str]:
    yield '| trouble | what to write | what it does | fixed: memory, time | learning: memory, time |'
    yield '| --- | --- | --- | --- | --- |'
    rows = [cases.get(Case('pyramid', 'w18', SIDE, fixed=fixed).name, {}).get('systems', {}) for fixed in (True, False)]
    for switch in SWITCHES:
        factors = ' | '.join(_factors(systems, switch.system) for systems in rows)
        yield f'| {switch.trouble} | {switch.write} | {switch.effect} | {factors} |'
    yield ''


def _factors(systems: Mapping[str, Any], system: str | None) -> str:
    found, base = systems.get(system or '', {}), systems.get(UPSTREAM.key, {})
    return ', '.join(f'{found[key] / base[key]:.2f}' for key in ('saved_mb', 'ms') if key in found and key in base)


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
    yield '| | saved, MB | peak, MB | time, ms | CPU, ms | first, s | loss |'
    yield '| --- | --- | --- | --- | --- | --- | --- |'
    for key, found in row['systems'].items():
        if 'failed' in found:
            yield f'| {key} | failed: {found["failed"]} | | | | | |'
            continue
        cells = (_cell(found, base, field) for field in ('saved_mb', 'peak_mb', 'ms', 'cpu_ms'))
        first = f'{found["first_ms"] / 1e3:.1f}' if 'first_ms' in found else ''
        yield f'| {key} | {" | ".join(cells)} | {first} | {_loss(found)} |'
    yield ''


def _loss(found: Mapping[str, Any]) -> str:
    return f'{found["loss"]:.6g}' if 'loss' in found else ''


def _cell(found: Mapping[str, Any], base: Mapping[str, Any], field: str) -> str:
    if found.get(field) is None:
        return ''
    factor = f' ({found[field] / base[field]:.2f}x)' if base.get(field) else ''
    return f'{found[field]:.0f}{factor}'
