"""Train an HRNet detector on handwritten digits, test it, and leave metrics and pictures in one folder.

python projects/digits/demo.py [FOLDER]        # work_dirs/demo by default
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from data import build
from report import draw_curves, draw_predictions

HERE = Path(__file__).parent
CONFIG = HERE / 'faster-rcnn_hrnetv2p-w18-small-v1_6e_digits.py'


def main(folder: Path) -> None:
    """Run the whole demo; ``folder/run`` of an earlier demo is replaced."""
    data = build(Path('data/digits'))
    run = folder / 'run'
    shutil.rmtree(run, ignore_errors=True)
    started = time.monotonic()
    _command('train', CONFIG, '--work-dir', run / 'train')
    minutes = (time.monotonic() - started) / 60
    checkpoint = (run / 'train' / 'last_checkpoint').read_text().strip()
    dump = run / 'predictions.pkl'
    _command('test', CONFIG, checkpoint, '--work-dir', run / 'test', '--out', dump)

    (results,) = (run / 'test').glob('*/*.json')
    metrics = json.loads(results.read_text())
    record = {**metrics, 'training_minutes': round(minutes, 2), **_environment()}
    (folder / 'metrics.json').write_text(json.dumps(record, indent=2) + '\n')
    predictions = pickle.loads(dump.read_bytes())  # noqa: S301, written by the command above
    draw_predictions(predictions, data / 'annotations' / 'val.json', data / 'val', folder / 'predictions.png')
    (scalars,) = (run / 'train').glob('*/vis_data/scalars.json')
    draw_curves(scalars, folder / 'curves.png')
    print(f'\nTrained in {minutes:.1f} minutes, validation included; checkpoint: {checkpoint}')
    print(f'bbox mAP {metrics["coco/bbox_mAP"]:.3f}, AP50 {metrics["coco/bbox_mAP_50"]:.3f} on the 100 val scenes')
    print(f'Pictures: {folder / "predictions.png"}, {folder / "curves.png"}; metrics: {folder / "metrics.json"}')


def _environment() -> dict[str, object]:
    names = ('torch', 'mmengine', 'mmcv', 'mmdet', 'numpy')
    commit = subprocess.run(['git', '-C', HERE, 'describe', '--always', '--dirty'], capture_output=True, check=False)  # noqa: S607
    return dict(
        machine=f'{platform.machine()}, {os.cpu_count()} cores, {_cpu()}',
        python=platform.python_version(),
        versions={name: importlib.import_module(name).__version__ for name in names},
        commit=commit.stdout.decode().strip() or 'unknown',
    )


def _cpu() -> str:
    models = [line for line in Path('/proc/cpuinfo').read_text().splitlines() if line.startswith('model name')]
    return models[0].split(': ')[1] if models else platform.processor()


def _command(*args: object) -> None:
    command = [sys.executable, '-m', 'hrnet_plugins.cli', *map(str, args)]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f'demo: `hrnet-plugins {" ".join(map(str, args))}` failed, its output is above')


if __name__ == '__main__':
    main(Path(sys.argv[1] if len(sys.argv) > 1 else 'work_dirs/demo'))
