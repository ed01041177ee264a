"""Measure what training takes, ours and others', and write results and page.

python -m benchmarks.training [--budget 15] [--device cpu] [--cases 'pyramid w18'] [--systems ours "upstream's HRNet"]
                              [--measure memory] [--out FOLDER] [--page]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from benchmarks.training.cases import CASES
from benchmarks.training.measure import peak_megabytes
from benchmarks.training.page import DEVICES, page
from benchmarks.training.record import MEASURES, record
from benchmarks.training.systems import SYSTEMS

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    options = _parser().parse_args(arguments)
    if options.peak is not None:
        asked = json.loads(options.peak)
        (system,) = (s for s in SYSTEMS if s.key == asked['system'])
        (case,) = (c for c in CASES if c.name == asked['case'])
        torch.set_flush_denormal(True)
        print(peak_megabytes(system, case, asked['device']))
        return
    if not options.page:
        cases = [c for c in CASES if not options.cases or any(word in c.name for word in options.cases)]
        systems = [s for s in SYSTEMS if not options.systems or any(word in s.key for word in options.systems)]
        if not cases or not systems:
            sys.exit('no case or no system is left: give less of --cases and --systems')
        path = options.out / f'results-{options.device}.json'
        record(cases, systems, path, device=options.device, minutes=options.budget, measure=options.measure)
    write_page(options.out)


def write_page(folder: Path) -> None:
    """Write the page of the results in a folder."""
    paths = {device: folder / f'results-{device}.json' for device in DEVICES}
    found = {device: json.loads(path.read_text()) for device, path in paths.items() if path.exists()}
    (folder / 'README.md').write_text(page(found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m benchmarks.training', description=__doc__)
    parser.add_argument('--device', choices=DEVICES, default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--budget', type=float, default=float('inf'), help='minutes after which nothing is begun')
    parser.add_argument('--cases', nargs='+', help='words of which a case must have one in its name')
    parser.add_argument('--systems', nargs='+', help='words of which a system must have one in its name')
    parser.add_argument('--measure', nargs='+', choices=MEASURES, default=MEASURES)
    parser.add_argument('--out', type=Path, default=HERE, help='folder of results and page')
    parser.add_argument('--page', action='store_true', help='only write the page from the results there')
    parser.add_argument('--peak', help=argparse.SUPPRESS)
    return parser


if __name__ == '__main__':
    main()
