"""Train an HRNet detector on handwritten digits, test it, and leave metrics and pictures in one folder.

python -m projects.digits.demo [FOLDER]        # work_dirs/demo by default
"""

from __future__ import annotations

import sys
from pathlib import Path

from projects.digits.record import record

RECIPE = Path(__file__).parent / 'faster-rcnn_hrnetv2p-w18-small-v1_6e_digits.py'


def main(folder: Path) -> None:
    """Run the whole demo; ``folder/run`` of an earlier demo is replaced."""
    metrics = record(RECIPE, folder)
    print(f'bbox mAP {metrics["coco/bbox_mAP"]:.3f}, AP50 {metrics["coco/bbox_mAP_50"]:.3f} on the 100 val scenes')
    print(f'Pictures: {folder / "predictions.png"}, {folder / "curves.png"}; metrics: {folder / "metrics.json"}')


if __name__ == '__main__':
    main(Path(sys.argv[1] if len(sys.argv) > 1 else 'work_dirs/demo'))
