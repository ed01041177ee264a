"""Train a digits recipe, test it, and leave metrics and curves in one folder.

python -m projects.digits.record RECIPE.py FOLDER

The data is built in ``data/digits`` on the first run.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hrnet_plugins.environment import commit_of, cpu_name, versions
from hrnet_plugins.recipes import framework_of
from projects.digits.data import build
from projects.digits.report import SCORES, draw_curves, draw_labels, draw_predictions

DATA = Path('data/digits')


def record(recipe: Path, folder: Path) -> dict[str, Any]:
    """Train and test a recipe as a user would, with the command line, and write what came of it.

    ``folder`` receives ``metrics.json`` (the test's metrics, the scores of each validation, the minutes of training
    with its validation, machine, versions and commit), ``curves.png``, and ``run/``, which replaces that of an
    earlier recording, with logs, the last checkpoint and what the test's ``--out`` left there; for a detector and a
    segmentor also ``predictions.png``.

    Returns:
        The content of ``metrics.json``, and ``checkpoint``, the path of the one that was tested.
    """
    build(DATA)
    run = folder / 'run'
    shutil.rmtree(run, ignore_errors=True)
    started = time.monotonic()
    _command('train', recipe, '--work-dir', run / 'train')
    minutes = (time.monotonic() - started) / 60
    checkpoint = (run / 'train' / 'last_checkpoint').read_text().strip()
    # mmseg's tool writes a folder of label files, the others' a pickle.
    name = 'predictions' if framework_of(recipe) == 'mmseg' else 'predictions.pkl'
    _command('test', recipe, checkpoint, '--work-dir', run / 'test', '--out', run / name)

    (results,) = (run / 'test').glob('*/*.json')
    (scalars,) = (run / 'train').glob('*/vis_data/scalars.json')
    metrics = {
        **json.loads(results.read_text()),
        'validations': validations(scalars),
        'training_minutes': round(minutes, 2),
        **_environment(folder),
    }
    (folder / 'metrics.json').write_text(json.dumps(metrics, indent=2) + '\n')
    draw_curves(scalars, folder / 'curves.png')
    if (run / 'predictions').is_dir():
        draw_labels(run / 'predictions', DATA / 'semantic' / 'val', DATA / 'val', folder / 'predictions.png')
    elif 'pred_instances' in predictions(folder)[0]:
        out = folder / 'predictions.png'
        draw_predictions(predictions(folder), DATA / 'annotations' / 'val.json', DATA / 'val', out)
    print(f'\nTrained in {minutes:.1f} minutes, validation included; checkpoint: {checkpoint}')
    return {**metrics, 'checkpoint': checkpoint}


def validations(scalars: Path) -> list[dict[str, float]]:
    """The scores of each validation during a training, from the log that mmengine leaves."""
    rows = map(json.loads, scalars.read_text().splitlines())
    return [{name: row[name] for name in SCORES if name in row} for row in rows if SCORES.keys() & row.keys()]


def predictions(folder: Path) -> list[dict[str, Any]]:
    """What the test of a recording dumped, a dictionary an image."""
    return pickle.loads((folder / 'run' / 'predictions.pkl').read_bytes())  # noqa: S301, written by `record`


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
