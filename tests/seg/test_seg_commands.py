"""The commands of the page on segmentation, with a small network under a published weight's name."""

import json

import pytest
import torch

from hrnet_plugins.weights import convert
from tests.helpers import segmentation as models
from tests.helpers.label_layouts import LAYOUTS
from tests.helpers.networks import fill
from tests.helpers.processes import run

RECIPE = 'ocr_hrnetv2-w48_120e_ade20k-520x520'
WEIGHTS = 'ocr_w48_ade20k'
CHANNELS = [16, 32, 64, 128]
SMALL = [
    '--cfg-options',
    'model.backbone.arch=w18_small_v1',
    *(f'model.decode_head.{i}.in_channels={CHANNELS}'.replace(' ', '') for i in (0, 1)),
    'model.decode_head.1.channels=32',
    'model.decode_head.1.ocr_channels=16',
    'test_dataloader.dataset.indices=1',
    'test_dataloader.num_workers=0',
    'test_dataloader.persistent_workers=False',
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with ADE20K in it, and an official file under the name of a published weight."""
    root = tmp_path_factory.mktemp('ade20k')
    LAYOUTS['data/ade/ADEChallengeData2016/'](root / 'data/ade/ADEChallengeData2016')
    model = fill(models.ocr('w18_small_v1', num_classes=150, channels=32, ocr_channels=16))
    official, _ = convert(model.state_dict(), target='official-seg')
    (root / 'weights').mkdir()
    torch.save(official, root / 'weights' / f'{WEIGHTS}.pth')
    return root


@pytest.mark.parametrize(
    'options',
    [
        pytest.param([*SMALL, 'model.test_cfg.flip=True', 'model.test_cfg.scales=[0.5,1.25]'], id='published'),
        pytest.param(['--tta', *SMALL], id='mmseg', marks=pytest.mark.slow),  # seven scales, each mirrored
    ],
)
def test_a_published_row_is_one_command(folder, options, request):
    work = folder / request.node.callspec.id
    arguments = ['test', RECIPE, f'hrnet://{WEIGHTS}', '--work-dir', work, *options]
    variables = dict(HRNET_PLUGINS_WEIGHTS=str(folder / 'weights'))
    text = run(folder, *arguments, module='hrnet_plugins.cli', **variables)
    assert 'missing keys' not in text
    assert 'unexpected key' not in text
    (metrics,) = work.glob('*/*.json')
    assert json.loads(metrics.read_text())['mIoU_published'] >= 0
    assert '1/1' in text
