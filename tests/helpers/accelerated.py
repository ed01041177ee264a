"""Modules and models to accelerate, and the comparison of an accelerated module with the plain one."""

import torch
from torch import nn

from hrnet_plugins import HRNetArch, Stage
from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from hrnet_plugins.processor import is_faster_in_bf16
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, fill

BOTTLENECKS = HRNetArch(
    (
        Stage(1, (1,), (5,), 'BOTTLENECK'),
        Stage(1, (1, 1), (3, 6), 'BOTTLENECK'),
        Stage(1, (1, 1, 1), (3, 6, 12)),
        Stage(2, (1, 1, 1, 1), (3, 6, 12, 24)),
    )
)
"""Channels that are no multiple of 8, as those of w18, w30 and w44 are not."""

BF16 = torch.bfloat16 if is_faster_in_bf16() else torch.float32
"""What this processor computes in where bfloat16 is asked for."""
TOLERANCE = {None: 1e-5, 'bf16': 3e-2}
"""Greatest difference from the plain model, as a part of each output's greatest value."""

MODULES = {
    'tiny': lambda: HRNet(TINY),
    'bottlenecks': lambda: HRNet(BOTTLENECKS),
    'bilinear': lambda: HRNet(TINY, upsample='bilinear', align_corners=True),
    'group norm': lambda: HRNet(TINY, norm_cfg=dict(type='GN', num_groups=2)),
    'sync batch norm': lambda: HRNet(TINY, norm_cfg=dict(type='SyncBN')),
    'one output': lambda: HRNet(TINY, multiscale_output=False),
    'two outputs': lambda: HRNet(TINY, out_indices=(0, 2)),
    'grey': lambda: HRNet(TINY, in_channels=1),
    'fpn': lambda: _with(HRFPN, TINY, 16),
    'fpn, strided': lambda: _with(HRFPN, BOTTLENECKS, 16, stride=2, num_outs=6, pooling='max'),
    'fpn, norms': lambda: _with(HRFPN, TINY, 16, norm_cfg=dict(type='BN')),
    'fuse': lambda: _with(HRFuseScales, TINY, 24, mid_channels=(8, 16, 24, 40)),
}


def _with(neck, arch, *args, **options):
    backbone = HRNet(arch)
    return nn.Sequential(backbone, neck(backbone.out_channels, *args, **options))


def built(name):
    """A module with weights as tame as trained ones, without which bfloat16 would drift over the depth."""
    return fill(MODULES[name]()).eval()


def in_channels(module):
    return getattr(module, 'in_channels', 3)


@torch.no_grad()
def assert_same(fast, plain, x, tolerance=1e-5):
    theirs = plain(x)
    ours = fast(x)
    assert type(ours) is type(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert_equal(a, b, tolerance)


DETECTORS = {
    'fcos': lambda: frameworks.fcos(TINY, num_classes=3, channels=32, levels=5, stride=2, stacked_convs=1),
    'faster': lambda: frameworks.two_stage('faster', TINY, num_classes=3),
    'mask': lambda: frameworks.two_stage('mask', TINY, num_classes=3),
    'cascade': lambda: frameworks.two_stage('cascade', TINY, num_classes=3),
    'cascade-mask': lambda: frameworks.two_stage('cascade-mask', TINY, num_classes=3),
}
