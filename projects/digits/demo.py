"""Train an HRNet detector on handwritten digits, test it, and leave metrics and pictures in one folder.

python -m projects.digits.demo [FOLDER]        # work_dirs/demo by default

The config is what ``hrnet-plugins new`` writes for these data, ``FOLDER/digits.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hrnet_plugins.data import Machine, Options, new
from projects.digits.data import build
from projects.digits.record import DATA, record

RECIPE = 'faster-rcnn_hrnetv2p-w18_1x_coco'
ARCH = 'w18_small_v1'
EPOCHS = 6
CORES = 2
"""The config is written for a machine of two cores without a GPU, so that it is the same everywhere."""


def write_config(path: Path) -> Path:
    """Write the demo's config, for the data in ``data/digits``; one that is there is replaced.

    Args:
        path: The config's file.
    """
    command = (
        f'hrnet-plugins new {path.name} --data {DATA} --task detection --no-flip --from-scratch --recipe {RECIPE} '
        f'--arch {ARCH} --epochs {EPOCHS}'
    )
    return new(
        path, data=DATA, task='detection', recipe=RECIPE, arch=ARCH, options=Options(epochs=EPOCHS, flip=False),
        from_scratch=True, machine=Machine(cores=CORES), force=True, command=command,
    )  # fmt: skip


def main(folder: Path) -> None:
    """Run the whole demo; ``folder/digits.py`` and ``folder/run`` of an earlier demo are replaced."""
    build(DATA)
    metrics = record(write_config(folder / 'digits.py'), folder)
    print(f'bbox mAP {metrics["coco/bbox_mAP"]:.3f}, AP50 {metrics["coco/bbox_mAP_50"]:.3f} on the 100 val scenes')
    print(f'Pictures: {folder / "predictions.png"}, {folder / "curves.png"}; metrics: {folder / "metrics.json"}')


if __name__ == '__main__':
    main(Path(sys.argv[1] if len(sys.argv) > 1 else 'work_dirs/demo'))
