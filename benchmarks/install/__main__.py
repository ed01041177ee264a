"""Record the time from a bare clone to the first line of training, in parts.

python -m benchmarks.install

A clone of this checkout's last commit is set up by `make demo` in a temporary folder, with empty caches and without any
uv, until the demo's training shows its first step. Writes results.json beside this file, and the table in
docs/install.md.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hrnet_plugins.environment import commit_of
from hrnet_plugins.processor import cpu_name

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).with_name('results.json')
PAGE = ROOT / 'docs' / 'install.md'
BLOCK = re.compile(r'(<!-- install -->\n).*?(<!-- end -->)', re.DOTALL)
EVENTS = {
    'set-up: fetching uv': 'fetching uv',
    'set-up: installing': 'download',
    'Prepared ': 'install',
    'set-up: checking': 'check',
    'building the digits': 'digits',
    'Training command is': 'start of training',
}
"""What the output says when a part of the way begins, and the part."""
FIRST_STEP = re.compile(r'step \d+/\d+  loss|Epoch\(train\)')
PARTS = {
    'download': 'download, and building what exists as source only',
    'install': 'install',
    'our own': 'our own: fetching uv, operators, a check that all imports, the digits, the first step',
}


def main() -> None:
    """Run, write and print."""
    with tempfile.TemporaryDirectory(prefix='hrnet-plugins-install-') as name:
        result = record(Path(name))
    RESULTS.write_text(json.dumps(result, indent=2) + '\n')
    PAGE.write_text(BLOCK.sub(lambda found: f'{found[1]}{table(result)}{found[2]}', PAGE.read_text()))
    print(table(result))


def record(folder: Path) -> dict[str, object]:
    """Set up a clone in a folder and train there; the seconds of each part, and where they were measured."""
    clone, cache = folder / 'clone', folder / 'cache'
    git = ['git', 'clone', '--quiet', '--no-hardlinks', str(ROOT), str(clone)]
    started = time.monotonic()
    subprocess.run(git, check=True)
    begins: list[tuple[str, float]] = [('clone', started)]
    for line, now in lines(['make', 'demo'], clone, environment(cache)):
        print(line, flush=True)
        begins += [(part, now) for said, part in EVENTS.items() if said in line and part not in dict(begins)]
        if FIRST_STEP.search(line):
            return describe(begins, now, clone, cache)
    sys.exit('`make demo` ended before its first step; its output is above')


def describe(begins: list[tuple[str, float]], end: float, clone: Path, cache: Path) -> dict[str, object]:
    """The record of a run whose parts began at these times."""
    ends = [now for _, now in begins[1:]] + [end]
    seconds = {part: round(stop - start, 1) for (part, start), stop in zip(begins, ends, strict=True)}
    ours = sum(seconds.values()) - seconds['download'] - seconds['install']
    installed = (clone / '.venv' / '.setup').read_text().split()
    return dict(
        seconds={**seconds, 'our own': round(ours, 1), 'all': round(end - begins[0][1], 1)},
        cache_mb=round(sum(path.stat().st_size for path in cache.rglob('*') if path.is_file()) / 1e6),
        load_average=os.getloadavg()[1],
        machine=f'{platform.machine()}, {os.cpu_count()} cores, {cpu_name()}',
        python=installed[0],
        operators=installed[1],
        uv=subprocess.run(
            [clone / '.uv/bin/uv', '--version'], capture_output=True, text=True, check=True
        ).stdout.split()[1],
        commit=commit_of(ROOT, written=[RESULTS, PAGE]),
    )


def table(result: dict[str, object]) -> str:
    """A record as Markdown."""
    seconds = result['seconds']
    rows = [(text, seconds[part]) for part, text in PARTS.items()] + [('all', seconds['all'])]
    cores, load = os.cpu_count() or 1, result['load_average']
    beside = f', shared: {load:.0f} processes wanted the {cores} cores' if load > cores + 1 else ''
    lines = [f'| {result["machine"]}, Python {result["python"]}{beside} | seconds |', '| --- | --- |']
    return '\n'.join(lines + [f'| {text} | {value:.0f} |' for text, value in rows]) + '\n'


def environment(cache: Path) -> dict[str, str]:
    """This process's variables, without its environment and any uv, and with caches that are empty."""
    here = str(Path(sys.executable).parent)
    path = [p for p in os.environ['PATH'].split(os.pathsep) if p != here and shutil.which('uv', path=p) is None]
    kept = {k: v for k, v in os.environ.items() if k not in ('VIRTUAL_ENV', 'PYTHONPATH', 'MAKEFLAGS', 'VENV', 'STACK')}
    return {**kept, 'PATH': os.pathsep.join(path), 'UV_CACHE_DIR': str(cache), 'PIP_NO_CACHE_DIR': '1'}


def lines(command: list[str], folder: Path, env: dict[str, str]) -> Iterator[tuple[str, float]]:
    """What a command says, line by line, each with the time; the command is stopped when nobody listens any more."""
    both = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process = subprocess.Popen(command, cwd=folder, env=env, start_new_session=True, text=True, **both)
    try:
        for line in process.stdout:
            yield line.rstrip(), time.monotonic()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


if __name__ == '__main__':
    main()
