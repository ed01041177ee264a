"""What the recorded runs of the digits recipes reached, for the tutorial and the gallery."""

from __future__ import annotations

import json
from pathlib import Path

from tools.recipe_tables import markdown

RUNS = Path(__file__).parents[1] / 'benchmarks' / 'digits'
DEMO = Path(__file__).parents[1] / 'projects' / 'digits' / 'recorded' / 'detection' / 'metrics.json'
TITLES = {
    'faster-rcnn': 'Faster R-CNN',
    'mask-rcnn': 'Mask R-CNN',
    'cascade-rcnn': 'Cascade R-CNN',
    'htc': 'HTC',
    'fcos': 'FCOS',
    'fcn': 'HRNetV2, segmentation',
    'ocr': 'HRNet + OCR, segmentation',
}
"""Methods by the beginning of a run's name."""
SCORES = {'coco/bbox_mAP': 'box mAP', 'coco/segm_mAP': 'mask mAP', 'mIoU': 'mIoU, %', 'accuracy/top1': 'top-1, %'}


def tutorial_table() -> str:
    """What the demo's detector reached, and in which time."""
    metrics = json.loads(DEMO.read_text(encoding='utf-8'))
    names = {
        'coco/bbox_mAP': 'box mAP',
        'coco/bbox_mAP_50': 'at IoU 0.5',
        'training_cpu_minutes': 'minutes of one core',
        'training_minutes': 'by the clock, on a busy machine',
    }
    return markdown([*names.values(), 'machine'], [[*(metrics[name] for name in names), metrics['machine']]])


def gallery() -> str:
    """A section for each recorded run that has a picture."""
    parts = []
    for title, run in ((title, run) for method, title in TITLES.items() for run in _runs(method)):
        metrics = _metrics(run)
        scores = ', '.join(f'{name} {metrics[key]:.4g}' for key, name in SCORES.items() if key in metrics)
        parts.append(
            f'## {title}\n\n'
            f'`projects/digits/{run}_digits.py`: {scores}, after {metrics["training_minutes"]:.1f} minutes on two '
            f'cores ([metrics](../benchmarks/digits/{run}/metrics.json)).\n\n'
            f'![Test scenes with the truth on the left and the prediction of {title} on the right]'
            f'(../benchmarks/digits/{run}/predictions.png)\n\n'
        )
    return '\n' + ''.join(parts)


def _runs(method: str) -> list[str]:
    return sorted(path.parent.name for path in RUNS.glob(f'{method}_*/predictions.png'))


def _metrics(run: str) -> dict:
    return json.loads((RUNS / run / 'metrics.json').read_text(encoding='utf-8'))
