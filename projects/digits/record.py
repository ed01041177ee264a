"""Train a digits recipe, test it, and leave metrics, curves and predictions in one folder.

python -m projects.digits.record RECIPE.py FOLDER

The data is built in ``data/digits`` on the first run.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hrnet_plugins.recipes import framework_of
from projects.digits.data import build
from projects.digits.report import draw_predictions
from projects.record import record as record_config

DATA = Path('data/digits')


def record(recipe: Path, folder: Path) -> dict[str, Any]:
    """As ``projects.record.record``, with the data built; of a detector and a segmentor also ``predictions.png``."""
    build(DATA)
    metrics = record_config(recipe, folder)
    if framework_of(recipe) != 'mmpretrain':
        draw_predictions(recipe, metrics['checkpoint'], folder / 'predictions.png')
    return metrics


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    record(Path(sys.argv[1]), Path(sys.argv[2]))
