"""What was promised of the speed, as facts to hold results to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.inference.cases import DETECTION, FIRST, TOOL, Case

UPSTREAM = "upstream's HRNet"
OURS = 'ours, accelerated'


@dataclass(frozen=True)
class Bar:
    """A speed against another, in one recording.

    Args:
        text: Where, and against what.
        device: Of ``page.DEVICES``.
        ours: Case and the keys of systems of which the fastest counts.
        theirs: Case and key of the system it is compared with.
        least: Their time over ours.
    """

    text: str
    device: str
    ours: tuple[Case, tuple[str, ...]]
    theirs: tuple[Case, str]
    least: float

    def reached(self, results: dict[str, Any]) -> float | None:
        """Their time over ours, if both were measured on the device."""
        cases = results.get(self.device, {}).get('cases', {})

        def ms(case: Case, key: str) -> float | None:
            return cases.get(case.name, {}).get('systems', {}).get(key, {}).get('ms')

        case, keys = self.ours
        ours = [found for key in keys if (found := ms(case, key)) is not None]
        theirs = ms(*self.theirs)
        return theirs / min(ours) if ours and theirs is not None else None


def _cpu() -> list[Bar]:
    mmdet = (FIRST, f'{UPSTREAM} fp32')
    best = ('ours, openvino', 'ours, inductor')
    return [
        Bar('fp32, no compiling, against mmdet', 'cpu', (FIRST, (f'{OURS} fp32',)), mmdet, 2.0),
        Bar(
            'the same, against ONNX Runtime', 'cpu', (FIRST, (f'{OURS} fp32',)), (FIRST, 'ours, onnxruntime fp32'), 1.0
        ),
        Bar('bf16, no compiling, against mmdet in fp32', 'cpu', (FIRST, (f'{OURS} bf16',)), mmdet, 3.0),
        Bar('fp32, best backend, against mmdet', 'cpu', (FIRST, tuple(f'{b} fp32' for b in best)), mmdet, 2.6),
        Bar('bf16, best backend, against mmdet in fp32', 'cpu', (FIRST, tuple(f'{b} bf16' for b in best)), mmdet, 4.4),
    ]


def _avx2() -> list[Bar]:
    cases = [(arch, Case('pyramid', arch, FIRST.size)) for arch in ('w18', 'w32')]
    return [
        Bar(f'{arch} fp32, against OpenVINO', 'avx2', (case, (f'{OURS} fp32',)), (case, 'ours, openvino fp32'), 1.0)
        for arch, case in cases
    ]


def _cuda() -> list[Bar]:
    found = []
    for dtype in ('bf16', 'fp16'):
        for arch in ('w18', 'w32'):
            case = Case('pyramid', arch, DETECTION)
            ours = case, (f'{OURS} {dtype}',)
            name = f'{arch} {dtype}, 800x1344, batch 1'
            found.append(Bar(f'{name}, against mmdet', 'cuda', ours, (case, f'{UPSTREAM} {dtype}'), 5.0))
            other = f'torch.compile, max-autotune {dtype}'
            found.append(Bar(f'{name}, against torch.compile max-autotune', 'cuda', ours, (case, other), 1.0))
        w18, w32 = (Case('pyramid', arch, DETECTION, 8) for arch in ('w18', 'w32'))
        key = f'{OURS} {dtype}'
        found.append(Bar(f'w18 against w32 {dtype}, 800x1344, batch 8', 'cuda', (w18, (key,)), (w32, key), 1.4))
    accelerated = tuple(f'{OURS} {dtype}' for dtype in ('fp32', 'bf16', 'fp16'))
    name = "Faster R-CNN w18 in mmdet's benchmark tool, against mmdet"
    return [*found, Bar(name, 'cuda', (TOOL, accelerated), (TOOL, f'{UPSTREAM} fp32'), 2.0)]


BARS: tuple[Bar, ...] = (*_cpu(), *_avx2(), *_cuda())
"""On the CPU all about 512x512, one image, two cores; but for AVX2 all about w18."""
COMPARED = frozenset(
    (case, key) for bar in BARS for case, keys in (bar.ours, (bar.theirs[0], (bar.theirs[1],))) for key in keys
)
"""The cases and keys of systems that they are about."""
