"""Measure the speed of inference, ours and others', and write results, chart and page.

python -m benchmarks.inference [--budget 35] [--device cpu] [--widths w18 w32] [--sizes 512x512] [--batches 1]
                               [--kinds pyramid] [--systems plain openvino] [--measure memory] [--avx2]
                               [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.inference.avx2 import OBEDIENT, hide
from benchmarks.inference.cases import CASES, TITLES
from benchmarks.inference.chart import draw
from benchmarks.inference.measure import peak_megabytes
from benchmarks.inference.page import DEVICES, page
from benchmarks.inference.record import MEASURES, record
from benchmarks.inference.systems import SYSTEMS

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if options.peak is not None:
        asked = json.loads(options.peak)
        (system,) = (s for s in SYSTEMS if s.key == asked['system'])
        (case,) = (c for c in CASES if c.name == asked['case'])
        print(peak_megabytes(system, case, asked['device']))
        return
    if options.avx2:
        hide()
    if not options.page:
        cases = [
            c
            for c in CASES
            if c.arch in options.widths
            and f'{c.size[0]}x{c.size[1]}' in options.sizes
            and c.batch in options.batches
            and c.kind in options.kinds
        ]
        known = OBEDIENT if options.avx2 else SYSTEMS
        systems = [s for s in known if not options.systems or any(word in s.key for word in options.systems)]
        if not cases or not systems:
            sys.exit('no case or no system is left: give less of --widths, --sizes, --batches, --kinds and --systems')
        path = options.out / f'results-{"avx2" if options.avx2 else options.device}.json'
        record(cases, systems, path, device=options.device, minutes=options.budget, measure=options.measure)
    write_page(options.out)


def write_page(folder: Path) -> None:
    """Write chart and page of the results in a folder."""
    found: dict[str, Any] = {}
    for device in DEVICES:
        path = folder / f'results-{device}.json'
        if path.exists():
            found[device] = json.loads(path.read_text())
    chart = draw(found, folder / 'speed.png')
    (folder / 'README.md').write_text(page(found, chart=chart))


def _parser() -> argparse.ArgumentParser:
    def choices(values: Any) -> dict[str, Any]:
        known = list(dict.fromkeys(values))
        return dict(nargs='+', default=known, choices=known, type=type(known[0]))

    parser = argparse.ArgumentParser(prog='python -m benchmarks.inference', description=__doc__)
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--budget', type=float, default=float('inf'), help='minutes after which nothing is begun')
    parser.add_argument('--widths', **choices(c.arch for c in CASES))
    parser.add_argument('--sizes', **choices(f'{c.size[0]}x{c.size[1]}' for c in CASES))
    parser.add_argument('--batches', **choices(c.batch for c in CASES))
    parser.add_argument('--kinds', **choices(TITLES))
    parser.add_argument('--systems', nargs='+', help='words of which a system must have one in its name')
    parser.add_argument('--measure', **choices(MEASURES), help='memory alone is added to cases that have their times')
    parser.add_argument('--avx2', action='store_true', help='on a CPU, hide what is wider than AVX2')
    parser.add_argument('--out', type=Path, default=HERE, help='folder of results, chart and page')
    parser.add_argument('--page', action='store_true', help='only write chart and page from the results there')
    parser.add_argument('--peak', help=argparse.SUPPRESS)
    return parser


if __name__ == '__main__':
    main()
