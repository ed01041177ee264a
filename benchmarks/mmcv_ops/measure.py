"""Time of mmcv's NMS and RoIAlign, with our operators and with its compiled ones, in one process.

python -m benchmarks.mmcv_ops.measure OUT.json        # needs a compiled mmcv; on the GPU where there is one

Called as models call them, from ``mmcv.ops``. The two take turns, an untimed call before each timed one, and the
median of the turns' ratios counts, so that a machine's slow minutes touch both alike. ``results.json`` here is also
written into the table of ``README.md``.
"""

from __future__ import annotations

import importlib
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inference.environment import commit_of, environment
from hrnet_plugins.mmcv_ops import extension

HERE = Path(__file__).resolve().parent
TURNS = 9
LEAST = 0.05
"""Seconds that a timed turn takes at least, of as many calls as that needs."""
TABLE = re.compile(r'(?<=<!-- results -->\n).*?(?=<!-- end -->)', re.DOTALL)
IMAGE = (1344, 800)
"""Width and height in pixels, of which the map of 200x336 is a quarter."""

Run = Callable[[], object]


@contextmanager
def ours() -> Iterator[None]:
    """``mmcv.ops`` with our operators."""
    modules = [importlib.import_module(f'mmcv.ops.{name}') for name in ('nms', 'roi_align')]
    before = [module.ext_module for module in modules]
    for module in modules:
        module.ext_module = extension
    try:
        yield
    finally:
        for module, compiled in zip(modules, before):
            module.ext_module = compiled


def spread(count: int) -> np.ndarray:
    """Boxes of 8 to 400 pixels anywhere in the image, (count, 4)."""
    rng = np.random.default_rng(0)
    centre, size = rng.uniform(0, IMAGE, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(400), (count, 2)))
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def crowded(count: int) -> np.ndarray:
    """Boxes about 30 objects, as a detector proposes them, (count, 4)."""
    rng = np.random.default_rng(0)
    of = rng.integers(0, 30, count)
    centre, size = rng.uniform(0, IMAGE, (30, 2))[of], np.exp(rng.uniform(np.log(32), np.log(400), (30, 2)))[of]
    centre, size = centre + rng.normal(0, 0.1, (count, 2)) * size, size * np.exp(rng.normal(0, 0.2, (count, 2)))
    return np.concatenate([centre - size / 2, centre + size / 2], 1)


def cases(device: str) -> dict[str, Run]:
    """What is measured, each a call without arguments."""
    from mmcv.ops import nms, roi_align  # noqa: PLC0415

    found: dict[str, Run] = {}
    for count in (1_000, 20_000):
        scores = torch.from_numpy(np.random.default_rng(1).uniform(0, 1, count).astype(np.float32)).to(device)
        for make in (spread, crowded):
            boxes = torch.from_numpy(make(count).astype(np.float32)).to(device)
            found[f'nms, {count:,} boxes, {make.__name__}'] = lambda b=boxes, s=scores: nms(b, s, iou_threshold=0.7)  # type: ignore[misc]
    rng = np.random.default_rng(2)
    centre, size = rng.uniform(0, IMAGE, (512, 2)), rng.uniform(16, 112, (512, 2))
    boxes = np.concatenate([np.zeros((512, 1)), centre - size / 2, centre + size / 2], 1).astype(np.float32)
    rois = torch.from_numpy(boxes).to(device)
    x = torch.randn(1, 256, 200, 336, device=device, requires_grad=True)
    for side in (7, 14):
        pooled = roi_align(x, rois, side, 0.25, 0, 'avg', True)
        grad_output = torch.randn_like(pooled)

        def forward(side: int = side) -> Tensor:
            return roi_align(x.detach(), rois, side, 0.25, 0, 'avg', True)

        def backward(pooled: Tensor = pooled, grad_output: Tensor = grad_output) -> object:
            return torch.autograd.grad(pooled, x, grad_output, retain_graph=True)

        found[f'roi_align, {side}x{side}, forward'] = forward
        found[f'roi_align, {side}x{side}, backward'] = backward
    return found


def seconds(run: Run, calls: int) -> float:
    """Of one call: on a GPU by the clock, on a CPU the time of the one thread, whatever else the machine does."""
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    run()
    if cuda:
        torch.cuda.synchronize()
    started = clock()
    for _ in range(calls):
        run()
    if cuda:
        torch.cuda.synchronize()
    return (clock() - started) / calls


def measure(run: Run) -> dict[str, Any]:
    """Median milliseconds of both, and the median of the turns' ratios: compiled to ours, above 1 if ours is faster."""
    calls = max(1, round(LEAST / seconds(run, 1)))
    times: dict[str, list[float]] = {'ours': [], 'compiled': []}
    for turn in range(TURNS):
        for name in sorted(times, reverse=bool(turn % 2)):
            if name == 'ours':
                with ours():
                    times[name].append(seconds(run, calls))
            else:
                times[name].append(seconds(run, calls))
    ratios = [theirs / mine for mine, theirs in zip(times['ours'], times['compiled'])]
    return dict(
        **{f'{name}_ms': round(statistics.median(each) * 1e3, 3) for name, each in times.items()},
        speed=round(statistics.median(ratios), 3),
        turns=TURNS,
        calls=calls,
    )


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """The results as Markdown."""
    lines = [['', 'ms, ours', 'compiled', 'speed of ours to that of the compiled'], ['---'] * 4]
    lines += [
        [name, f'{row["ours_ms"]:.2f}', f'{row["compiled_ms"]:.2f}', f'{row["speed"]:.2f}']
        for name, row in results.items()
    ]
    return ''.join('|' + ''.join(f' {cell} |' if cell else ' |' for cell in line) + '\n' for line in lines)


def main(out: Path) -> None:
    """Measure everything and write it down."""
    if not str(importlib.import_module('mmcv._ext').__file__).endswith(('.so', '.pyd')):
        sys.exit('mmcv has no compiled operators here to compare with')
    torch.set_num_threads(1)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    commit = commit_of(HERE)  # before anything is written
    results = {}
    for name, run in cases(device).items():
        results[name] = measure(run)
        print(name, results[name])
    found = dict(environment=environment(device), commit=commit, results=results)
    found['environment']['versions']['torchvision'] = importlib.import_module('torchvision').__version__  # type: ignore[index]
    out.write_text(json.dumps(found, indent=2) + '\n')
    if out.resolve() == HERE / 'results.json':
        page = HERE / 'README.md'
        page.write_text(TABLE.sub(lambda _: table(results), page.read_text()))


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
