"""The README of each folder of recipes: what it holds, its table, commands, and what to cite."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tools.papers import PAPERS
from tools.recipe_tables import rows_of, table, weights_of, wrap

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Folder:
    """What the metafiles do not say of a folder.

    Args:
        title: The method.
        about: Sentences on what the recipes are.
        papers: Keys of ``PAPERS``.
        picture: The recorded run whose predictions are shown, a folder in ``benchmarks/digits``; may be empty.
        options: What the commands of a training are to be given.
        trains: Whether the recipes can be trained.
    """

    title: str
    about: str
    papers: tuple[str, ...]
    picture: str = ''
    options: str = ''
    trains: bool = True


_COCO = (
    "Scores are of COCO val2017, published, none measured by this project. Columns without a mark are mmdetection 2's "
    'tables, whose settings the recipes follow; "(official)" was trained with the code of HRNet-Object-Detection, '
    '"(mmdet 1)" with mmdetection 1.'
)
_MIOU = (
    'The scores are published mIoU in per cent, none measured by this project. Data, testing, and what differs from '
    'mmsegmentation: [segmentation](../../../docs/segmentation.md).'
)

FOLDERS: Mapping[str, Folder] = MappingProxyType(
    {
        'det/faster_rcnn': Folder(
            'Faster R-CNN', _COCO, ('hrnet', 'faster_rcnn'), 'faster-rcnn_hrnetv2p-w18-small-v1_6e'
        ),
        'det/mask_rcnn': Folder('Mask R-CNN', _COCO, ('hrnet', 'mask_rcnn'), 'mask-rcnn_hrnetv2p-w18-small-v1_5e'),
        'det/cascade_rcnn': Folder('Cascade R-CNN', _COCO, ('hrnet', 'cascade_rcnn')),
        'det/cascade_mask_rcnn': Folder('Cascade Mask R-CNN', _COCO, ('hrnet', 'cascade_rcnn')),
        'det/htc': Folder(
            'Hybrid Task Cascade',
            _COCO
            + " Training needs COCO's stuff maps in `data/coco/stuffthingmaps/train2017` for the semantic branch, "
            'and says so without them.',
            ('hrnet', 'htc'),
            'htc_hrnetv2p-w18-small-v1_3e',
        ),
        'det/fcos': Folder(
            'FCOS',
            _COCO + ' "(HRNet-FCOS)" is that project\'s README, on COCO minival, whose images are those of val2017; '
            '"(HRNet-FCOS a1feaa3)" is a later one where it differs. The recipes of ResNet are its baselines.',
            ('hrnet', 'fcos'),
            'fcos_hrnetv2p-w18-small-v1_6e',
        ),
        'det/official': Folder(
            'Official detection weights',
            'Test-only recipes: the weights of HRNet-Object-Detection and HRNet-FCOS score as published only under the '
            'conventions that they were trained with. None of these files has an address that can still be fetched '
            'without a browser, so they have no `hrnet://` name: convert the file, then test it. What mmdet cannot '
            'express stays: its RoIAlign ends a box one pixel earlier than the official one did, it pastes masks with '
            'sub-pixel sampling, and it resizes images with OpenCV where HRNet-FCOS used PIL.',
            ('hrnet', 'fcos'),
            trains=False,
        ),
        'det/mmdet_v1': Folder(
            'Detection weights of mmdet 1',
            'Test-only recipes: the files that mmdet 1 published in 2019 have the background as their first class and '
            'its conventions for boxes and RoIAlign. Their names load them converted, and these recipes test them '
            'under those conventions.',
            ('hrnet', 'mmdetection'),
            trains=False,
        ),
        'cls/hrnet': Folder(
            'HRNet for classification',
            'Errors are those of the HRNet-Image-Classification README on one 224x224 centre crop of ImageNet, none '
            'measured by this project; "(mmpretrain)" is what mmpretrain measured with the same weights. The error of '
            'an `ssld` recipe is that of the weights it starts from.',
            ('hrnet',),
        ),
        'seg/fcn': Folder(
            'HRNetV2 for segmentation',
            _MIOU,
            ('hrnet',),
            'fcn_hrnetv2-w18-small-v1_6e',
            '--gpus 4 --launcher pytorch',
        ),
        'seg/ocr': Folder(
            'HRNet + OCR for segmentation',
            _MIOU,
            ('hrnet', 'ocr'),
            'ocr_hrnetv2-w18-small-v1_6e',
            '--gpus 4 --launcher pytorch',
        ),
    }
)
"""The folders under ``configs`` by path."""


def page(name: str) -> str:
    """The README of a folder of recipes."""
    folder = FOLDERS[name]
    rows = rows_of(name)
    with_weights = next((row.name for row in rows if weights_of(row.name)), '')
    notes = [f'- `{row.name}`: {row.note}' for row in rows if row.note]
    parts = [
        f'# {folder.title}',
        '<!-- Written by `make readme` from metafile.yml. -->',
        '\n'.join(wrap(folder.about)),
        table(name).rstrip(),
        'Training settings, costs, and the line that each number is from are in [metafile.yml](metafile.yml); '
        '[the model zoo](../../../docs/model-zoo.md) has all recipes.',
        '## Commands',
        _commands(rows[0].name, with_weights, folder),
    ]
    if folder.picture:
        up = os.path.relpath(ROOT / 'benchmarks/digits', ROOT / 'configs' / name)
        parts += [
            '## What it looks like',
            f'Test scenes of handwritten digits, from a small recipe of the same method: the truth, and what was '
            f'predicted ([the run]({up}/{folder.picture}/metrics.json)).',
            f'![Scenes of digits with the truth beside the predictions]({up}/{folder.picture}/predictions.png)',
        ]
    if notes:
        parts += ['## Where the published tables are unclear', '\n'.join('\n'.join(wrap(note, '  ')) for note in notes)]
    parts += ['## Citation', '```bibtex\n' + '\n\n'.join(PAPERS[key] for key in folder.papers) + '\n```']
    return '\n\n'.join('\n'.join(wrap(part)) if _is_prose(part) else part for part in parts) + '\n'


def _commands(recipe: str, with_weights: str, folder: Folder) -> str:
    lines = []
    if folder.trains:
        lines.append(f'hrnet-plugins train {recipe} {folder.options}'.rstrip())
        lines.append(f'hrnet-plugins test {recipe} work_dirs/{recipe}/LAST.pth')
    if with_weights:
        lines.append(f'hrnet-plugins test {weights_of(with_weights)[0]}    # published weights, fetched by name')
    if not lines:
        lines = [f'hrnet-plugins convert OFFICIAL.pth NEW.pth --check {recipe}', f'hrnet-plugins test {recipe} NEW.pth']
    return '```bash\n' + '\n'.join(lines) + '\n```'


def _is_prose(part: str) -> bool:
    return not part.startswith(('|', '```', '#', '!', '-', '<'))
