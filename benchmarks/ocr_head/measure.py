"""Time and peak memory of the OCR heads, ours and mmseg's, each in a process of its own.

python -m benchmarks.ocr_head.measure OUT.json        # on the CPU; on the GPU where there is one

``ocr``: the OCR head alone, from the concatenated branches and a first segmentation. ``both``: both heads, from the
branches of a W48 on. ``test`` ends with the logits at stride 4; ``train`` is the loss at full size and its gradients.
Peak memory is what the process takes on top of weights and inputs: of the GPU's allocator, or of the process.
``results.json`` here is also written into the table of ``README.md``.
"""

from __future__ import annotations

import gc
import importlib
import json
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from torch import Tensor, nn

from benchmarks.inference.environment import commit_of
from hrnet_plugins.environment import versions
from hrnet_plugins.processor import cpu_name

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIBRARIES = ('hrnet_plugins', 'mmseg')
CASES = {'520x520, 171 classes': ((520, 520), 171), '1024x2048, 19 classes': ((1024, 2048), 19)}
W48 = [48, 96, 192, 384]
FEWEST, MOST = 2, 3
"""Timed runs of a measurement."""
ENOUGH = 30.0
"""Seconds of timed runs after which only the fewest are made."""
TABLE = re.compile(r'(?<=<!-- results -->\n).*?(?=<!-- end -->)', re.DOTALL)


def heads(library: str, classes: int) -> nn.ModuleList:
    """The two heads of an OCR model, with settings that both libraries can express."""
    importlib.import_module('mmseg.models')
    importlib.import_module('hrnet_plugins.seg')
    from mmseg.registry import MODELS  # noqa: PLC0415

    common = dict(in_channels=W48, num_classes=classes, align_corners=False, norm_cfg=dict(type='BN'))
    if library == 'hrnet_plugins':
        configs = [
            dict(type='hrnet_plugins.HRNetV2Head', **common),
            dict(type='hrnet_plugins.OCRHead', dropout_ratio=0, **common),
        ]
    else:
        common.update(in_index=[0, 1, 2, 3], input_transform='resize_concat', dropout_ratio=-1)
        common['loss_decode'] = dict(type='CrossEntropyLoss', avg_non_ignore=True)
        configs = [
            dict(type='FCNHead', channels=sum(W48), kernel_size=1, num_convs=1, concat_input=False, **common),
            dict(type='OCRHead', channels=512, ocr_channels=256, **common),
        ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        return nn.ModuleList(MODELS.build(ConfigDict(config)) for config in configs)


def step(library: str, part: str, mode: str, size: tuple[int, int], classes: int, device: str) -> Callable[[], object]:
    """What is measured, as a function without arguments; its weights and inputs are there already."""
    from mmseg.structures import SegDataSample  # noqa: PLC0415

    torch.manual_seed(0)
    first, second = heads(library, classes).to(device).train(mode == 'train')
    height, width = (-(-side // 4) for side in size)
    shapes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(4)]
    feats = [torch.randn(1, c, *shape, device=device) for c, shape in zip(W48, shapes)]
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, classes, (1, *size), device=device)))
    known = torch.randn(1, classes, height, width, device=device)
    if part == 'ocr':  # mmseg's resizing of one map to its own size, and concatenation of one, are part of its head
        whole = torch.cat([nn.functional.interpolate(x, size=shapes[0], mode='bilinear') for x in feats], 1)
        if library == 'mmseg':
            second.input_transform, second.in_index = None, 0
        feats = whole if library == 'hrnet_plugins' else [whole]  # type: ignore[assignment]

    def forward() -> tuple[Tensor | None, Tensor]:
        if part == 'ocr':
            return None, second(feats, known)
        shared = first.concat(feats) if library == 'hrnet_plugins' else feats
        regions = first(shared)
        return regions, second(shared, regions)

    def test() -> object:
        with torch.inference_mode():
            return forward()

    def train() -> object:
        for parameter in (*first.parameters(), *second.parameters()):
            parameter.grad = None
        regions, logits = forward()
        total = second.loss_by_feat(logits, [sample])['loss_ce']
        if regions is not None:
            total = total + 0.4 * first.loss_by_feat(regions, [sample])['loss_ce']
            if library == 'mmseg':  # its CascadeEncoderDecoder runs the first head once for the loss, once for OCR
                first(feats)
        return total.backward()

    return train if mode == 'train' else test


def measure(library: str, part: str, mode: str, case: str) -> dict[str, float]:
    """Median milliseconds of the timed runs and their number; peak MiB of the run before them, which is not timed."""
    size, classes = CASES[case]
    cuda = torch.cuda.is_available()
    torch.set_num_threads(1)
    run = step(library, part, mode, size, classes, 'cuda' if cuda else 'cpu')
    gc.collect()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else _resident()
    seconds(run)
    peak = torch.cuda.max_memory_allocated() if cuda else _highest()
    times: list[float] = []
    while len(times) < FEWEST or (len(times) < MOST and sum(times) < ENOUGH):
        times.append(seconds(run))
    return dict(ms=round(statistics.median(times) * 1e3, 1), runs=len(times), peak_mib=round((peak - before) / 2**20))


def seconds(run: Callable[[], object]) -> float:
    """Of one run: on a GPU by the clock, on a CPU the time of the one thread, whatever else the machine does."""
    cuda = torch.cuda.is_available()
    clock = time.perf_counter if cuda else time.process_time
    started = clock()
    run()
    if cuda:
        torch.cuda.synchronize()
    return clock() - started


def _resident() -> int:
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize()


def _highest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(results: Mapping[str, Mapping[str, float]]) -> str:
    """The results as Markdown; with the number of timed runs of both libraries, if it was recorded."""
    counted = all('runs' in found for found in results.values())
    columns = ['', 'seconds, ours', 'mmseg', 'ratio', 'peak MiB, ours', 'mmseg', 'ratio', *['timed runs'] * counted]
    lines = [columns, ['---'] * len(columns)]
    for name in dict.fromkeys(key.rsplit(' / ', 1)[0] for key in results):
        ours, theirs = (results[f'{name} / {library}'] for library in LIBRARIES)
        case, part, mode = name.split(' / ')
        cells = [f'{case}, `{part}`, {mode}', *(f'{found["ms"] / 1e3:.2f}' for found in (ours, theirs))]
        cells.append(f'{ours["ms"] / theirs["ms"]:.2f}')
        cells += [*(str(found['peak_mib']) for found in (ours, theirs)), f'{ours["peak_mib"] / theirs["peak_mib"]:.2f}']
        lines.append([*cells, *[f'{ours.get("runs")}, {theirs.get("runs")}'] * counted])
    return ''.join('|' + ''.join(f' {cell} |' if cell else ' |' for cell in line) + '\n' for line in lines)


def main(out: Path) -> None:
    """Measure everything, a process each, and write it down."""
    commit = commit_of(HERE)  # before anything is written
    results = {}
    for case in CASES:
        for part in ('ocr', 'both'):
            for mode in ('test', 'train'):
                for library in LIBRARIES:
                    command = [sys.executable, '-W', 'ignore', '-m', 'benchmarks.ocr_head.measure']
                    done = subprocess.run(
                        [*command, library, part, mode, case], check=True, cwd=ROOT, capture_output=True, text=True
                    )
                    found = json.loads(done.stdout.splitlines()[-1])
                    results[f'{case} / {part} / {mode} / {library}'] = found
                    print(case, part, mode, library, found)
    environment = dict(
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU',
        machine=f'{platform.machine()}, one thread, {cpu_name()}',
        versions=versions(('torch', 'mmengine', 'mmcv', 'mmseg')),
        commit=commit,
    )
    out.write_text(json.dumps(dict(environment=environment, results=results), indent=2) + '\n')
    if out.resolve() == HERE / 'results.json':
        page = HERE / 'README.md'
        page.write_text(TABLE.sub(lambda _: table(results), page.read_text()))


if __name__ == '__main__':
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    elif len(sys.argv) == 5:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        sys.exit(__doc__)
