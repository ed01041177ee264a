"""Parameters and arithmetic of the recipes are the published ones."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import model_of, recipes

STRIDES = (4, 8, 16, 32)
HEIGHT, WIDTH, PROPOSALS = 800, 1216, 500
"""HRNet-Object-Detection's README gives neither size nor rule for its GFLOPs. In units of 2^30, as the sister project
for classification counts, their differences from width to width are those of our backbones and necks at 800x1216, and
what is left is the RPN there and 500 boxes in the box head: all four come out to the printed digit or beside it."""


def multiply_adds(function, *inputs):
    """Multiplications of convolutions and linear layers, each with its addition counted as one, in units of 2^30."""
    with FlopCounterMode(display=False) as counter:
        out = function(*inputs)
    return counter.get_total_flops() / 2 / 2**30, out


@pytest.mark.parametrize('width', ['w18', 'w32', 'w40', 'w48'])
def test_faster_rcnn(width):
    name = f'faster-rcnn_hrnetv2p-{width}_1x_coco'
    metadata = published()[name].metadata
    with torch.device('meta'):
        model = model_of(recipes()[name]).eval()
        parameters = sum(p.numel() for p in model.parameters())
        features, feats = multiply_adds(model.extract_feat, torch.empty(1, 3, HEIGHT, WIDTH))
        rpn, _ = multiply_adds(model.rpn_head, feats)
        boxes, _ = multiply_adds(model.roi_head.bbox_head, torch.empty(PROPOSALS, 256, 7, 7))
    assert parameters / 2**20 == pytest.approx(metadata['Parameters (x 2^20)'], abs=0.1)
    # HRFPN's 1x1 convolution runs at each map's own size. It was counted over all channels at the finest.
    maps = [
        (channels, HEIGHT // stride * (WIDTH // stride))
        for channels, stride in zip(model.backbone.out_channels, STRIDES)
    ]
    saved = sum(channels * model.neck.out_channels * (maps[0][1] - area) for channels, area in maps) / 2**30
    assert saved > 3
    assert features + saved + rpn + boxes == pytest.approx(metadata['GFLOPs'], abs=0.15)


FCOS = [name for name, row in published().items() if 'Parameters (M)' in row.metadata and row.folder == 'det/fcos']


@pytest.mark.parametrize('name', [name for name in FCOS if 'hrnet' in name])  # the norms of its ResNets are constants
def test_fcos_parameters(name):
    with torch.device('meta'):
        parameters = sum(p.numel() for p in model_of(recipes()[name]).parameters())
    assert parameters / 1e6 == pytest.approx(published()[name].metadata['Parameters (M)'], abs=0.06)
