"""The page of results, written from what was recorded and from nothing else."""

from __future__ import annotations

from typing import Any

from benchmarks.inference.avx2 import HIDDEN
from benchmarks.inference.bars import BARS, UPSTREAM
from benchmarks.inference.cases import CASES, FIRST, TITLES, TOOL
from benchmarks.inference.floor import floor_ms

HEAD = """# Speed of inference

```bash
make bench                                             # all that fits 35 minutes, this page and the chart
make bench ARGS="--budget 300 --widths w18 w32"        # more of less, added to what this machine has here
make bench ARGS="--budget 300 --measure memory"        # the peak memory of what has its times there
make bench ARGS="--avx2 --kinds pyramid --sizes 512x512 --batches 1 --measure time"    # as on a CPU without AVX512
```

The same weights everywhere: "{upstream}" is the same model with mmdet's HRNet and HRFPN (mmseg's HRNet in OCR). Medians
of calls in turns, each after an untimed one. *ready* is the time from the call that prepares a system to its first
result; *error* its greatest difference from our plain model, as a part of the greatest output; *memory* the peak of a
call in a process of its own, weights included. *floor* is the larger of arithmetic over the measured rate of matrix
products and of the convolutions' bytes over that of copies; Winograd's convolutions may go below it. Times at 800x1344
are for what 800x1333 is padded to. timm's rows have our neck behind timm's backbone. "ours, inductor" runs what
`export --format pt2` writes. Compilers find the caches of earlier runs: with empty ones `torch.compile` was ready after
62 to 73 s. Written by `python -m benchmarks.inference --page` from `results-*.json`.
"""
DEVICES = {'cpu': 'CPU', 'avx2': 'AVX2 alone', 'cuda': 'GPU'}
"""What is recorded, each in a file of its own."""


def page(results: dict[str, Any], *, chart: bool) -> str:
    """Markdown for the results of each of ``DEVICES``, any of which may be missing."""
    parts = [HEAD.format(upstream=UPSTREAM)]
    if chart:
        parts.append('![Speed against parameters](speed.png)\n')
    parts.append(_bars(results))
    parts += [_device(results[device], title) for device, title in DEVICES.items() if device in results]
    return '\n'.join(parts)


def _bars(results: dict[str, Any]) -> str:
    lines = ['## Bars\n', '| where | bar | reached | |', '| --- | --- | --- | --- |']
    for bar in BARS:
        ratio = bar.reached(results)
        verdict = 'not yet measured' if ratio is None else 'pass' if ratio >= bar.least else 'falls short'
        reached = '' if ratio is None else f'{ratio:.2f}x'
        lines.append(f'| {DEVICES[bar.device]}, {bar.text} | {bar.least:.1f}x | {reached} | {verdict} |')
    return '\n'.join(lines) + '\n' + _reach(results.get('cpu', {}))


def _reach(found: dict[str, Any]) -> str:
    """How far from its floor upstream is on the CPU: the most that a system can gain without less arithmetic."""
    row = found.get('cases', {}).get(FIRST.name)
    base = row and row['systems'].get(f'{UPSTREAM} fp32', {}).get('ms')
    if not base:
        return ''
    floors = {dtype: floor_ms(row, found['rates'], dtype) for dtype in found['rates']}
    text = ', '.join(f'{floor:.0f} ms in {dtype} ({base / floor:.2f}x)' for dtype, floor in floors.items())
    return (
        f"\nThe floor of the CPU's case, and what {UPSTREAM} in fp32 takes of it: {text}.\n"
        'A bar beyond that can only be reached with less arithmetic, one close to it only at the full rate of matrix\n'
        'products in every layer.\n'
    )


def _device(found: dict[str, Any], title: str) -> str:
    versions = ', '.join(f'{name} {version}' for name, version in found['versions'].items())
    rates = '; '.join(
        f'{dtype}: {rate["gflop_per_s"]:g} GFLOP/s, {rate["gb_per_s"]:g} GB/s copied'
        for dtype, rate in found['rates'].items()
    )
    hidden = {name: value for name, value in found.get('settings', {}).items() if name in HIDDEN}
    lines = [
        f'## {title}\n',
        f'{found["machine"]}; {versions}.',
        *([_about(hidden)] if hidden else []),
        f'Measured rates: {rates}.\n',
    ]
    for case in CASES:
        row = found['cases'].get(case.name)
        if row is None and hidden:
            continue
        height, width = case.size
        name = f'{TITLES[case.kind]}, {case.arch}, {height}x{width}, batch {case.batch}'
        lines.append(f'### {name}\n')
        lines.append(_case(row, found['rates']) if row else 'Not yet measured.\n')
    if TOOL.name in found['cases']:
        lines += [
            "### mmdet's benchmark tool, Faster R-CNN, w18, 800x800\n",
            '| system | ms an image |',
            '| --- | --- |',
        ]
        rows = found['cases'][TOOL.name]['systems']
        lines += [f'| {key} | {row.get("failed") or round(row["ms"], 1)} |' for key, row in rows.items()]
        lines.append('')
    for name, profile in found['profiles'].items():
        lines.append(f'### Where the time goes: {name}\n')
        lines += ['| | ' + ' | '.join(profile) + ' |', '| --- |' + ' --- |' * len(profile)]
        kinds = dict.fromkeys(kind for shares in profile.values() for kind in shares)
        lines += [
            f'| {kind} | ' + ' | '.join(f'{shares.get(kind, 0):.0%}' for shares in profile.values()) + ' |'
            for kind in kinds
        ]
        lines.append('')
    return '\n'.join(lines)


def _about(hidden: dict[str, str]) -> str:
    variables = ' and '.join(f'`{name}={value}`' for name, value in hidden.items())
    return (
        f'Wider instructions were hidden by {variables}, which torch, oneDNN and OpenVINO obey.\n'
        'ONNX Runtime and compilers do not, so they are left out.'
    )


def _case(row: dict[str, Any], rates: dict[str, Any]) -> str:
    systems = row['systems']
    base = systems.get(f'{UPSTREAM} fp32', {}).get('ms')
    other = row.get('memory_commit', row['commit']) != row['commit']
    where = f'commit {row["commit"]}' + (f', memory {row["memory_commit"]}' if other else '')
    where += f'; load average {row["load"]:g} at the start'
    lines = [
        f'{row["gflop"]:g} GFLOP, {row["mparams"]:.1f} M parameters; {where}.\n',
        f'| system | ms | x {UPSTREAM} fp32 | x floor | ready, s | error | memory, MB |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    for key, found in systems.items():
        if 'ms' not in found:
            lines.append(f'| {key} | {found["failed"]} | | | | | |')
            continue
        ratio = f'{base / found["ms"]:.2f}' if base else ''
        floor = floor_ms(row, rates, key.rpartition(' ')[2])
        memory = f'{found["peak_mb"]:.0f}' if found.get('peak_mb') is not None else ''
        lines.append(
            f'| {key} | {found["ms"]:.1f} | {ratio} | {found["ms"] / floor:.2f} | {found["setup_s"]:.1f} | '
            f'{found["error"]:.0e} | {memory} |'
        )
    return '\n'.join(lines) + '\n'
