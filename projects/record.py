"""Train a config, test it, and leave metrics and curves in one folder.

python -m projects.record CONFIG.py FOLDER
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hrnet_plugins.environment import commit_of, versions
from hrnet_plugins.prediction.trained import best_in
from hrnet_plugins.processor import cpu_name
from hrnet_plugins.reporting.curves import NAMES, draw_curves
from hrnet_plugins.reporting.training_log import read_log


def record(config: Path, folder: Path) -> dict[str, Any]:
    """Train and test a config as a user would, with the command line, and write what came of it.

    ``folder`` receives ``metrics.json`` (the metrics of the test; the scores of each validation; minutes of training,
    validation included, by the clock and of the processor; how many processes wanted the machine before and at the end;
    its name, versions and commit), ``curves.png``, and ``run/``, which replaces that of an earlier recording, with logs
    and checkpoints. The best checkpoint is tested where the config keeps one, else the last.

    Returns:
        The content of ``metrics.json``, and ``checkpoint``, the path of the one that was tested.
    """
    run = folder / 'run'
    shutil.rmtree(run, ignore_errors=True)
    started, busy, load = time.monotonic(), _cpu_seconds(), [os.getloadavg()[0]]
    _command('train', config, '--work-dir', run / 'train')
    minutes, cpu_minutes = (time.monotonic() - started) / 60, (_cpu_seconds() - busy) / 60
    load.append(os.getloadavg()[2])
    checkpoint = best_in(run / 'train')
    _command('test', config, checkpoint, '--work-dir', run / 'test')

    (results,) = (run / 'test').glob('*/*.json')
    log = read_log(run / 'train')
    metrics = {
        **json.loads(results.read_text()),
        'validations': [{name: row[name] for name in NAMES if name in row} for row in log.val],
        'training_minutes': round(minutes, 2),
        'training_cpu_minutes': round(cpu_minutes, 2),
        'load_before_and_at_the_end': [round(value, 1) for value in load],
        **_environment(folder),
    }
    (folder / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    draw_curves(log, folder / 'curves.png')
    print(f'\nTrained in {minutes:.1f} minutes, validation included; checkpoint: {checkpoint}')
    return {**metrics, 'checkpoint': str(checkpoint)}


def _cpu_seconds() -> float:
    """Seconds of the processor that programs which this one started, and have ended, took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(written: Path) -> dict[str, object]:
    return dict(
        machine=f'{platform.machine()}, {os.cpu_count()} cores, {cpu_name()}',
        python=platform.python_version(),
        versions=versions(('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'numpy')),
        commit=commit_of(Path(__file__).parent, written=[written.absolute()]),
    )


def _command(*args: object) -> None:
    command = [sys.executable, '-m', 'hrnet_plugins.cli', *map(str, args)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f'{Path(sys.argv[0]).name}: `hrnet-plugins {" ".join(map(str, args))}` failed, its output is above')


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    record(Path(sys.argv[1]), Path(sys.argv[2]))
