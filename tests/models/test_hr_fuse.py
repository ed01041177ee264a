"""The classification fusion: mmpretrain's names and output, any number of branches, odd sizes, errors."""

import importlib

import pytest
import torch
from torch import nn

from hrnet_plugins.models import HRFuseScales, HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image

MID = (8, 16, 24, 40)


def tiny(**options):
    return fill(HRFuseScales(TINY.channels, 24, mid_channels=MID, **options))


@pytest.mark.parametrize('channels', [(16, 32, 64, 128), (18, 128, 256, 144)], ids=['widened', 'equal'])
@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
def test_equals_mmpretrain(channels, training):
    upstream = importlib.import_module('mmpretrain.models').HRFuseScales

    theirs = fill(upstream(channels)).train(training)
    ours = HRFuseScales(channels).train(training)
    ours.load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    feats = tuple(image((2, c, 16 >> i, 24 >> i), seed=i) for i, c in enumerate(channels))
    (a,), (b,) = ours(feats), theirs(feats)
    assert_equal(a, b)
    a.square().mean().backward()
    b.square().mean().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (p.grad - q.grad).abs().max() <= 1e-4 * q.grad.abs().max() + 1e-6, name


@pytest.mark.parametrize('size', [(32, 32), (33, 61), (97, 131), (224, 160)], ids=str)
def test_sizes_of_an_hrnet_fit(size):
    feats = fill(HRNet(TINY)).eval()(image((2, 3, *size)))
    (out,) = tiny().eval()(feats)
    assert out.shape == (2, 24, *feats[-1].shape[2:])


@pytest.mark.parametrize('branches', [1, 2, 3, 5])
def test_any_number_of_branches(branches):
    channels = [4 << i for i in range(branches)]
    fuse = HRFuseScales(channels, 10, mid_channels=[8 << i for i in range(branches)])
    (out,) = fuse([image((2, c, 32 >> i, 32 >> i)) for i, c in enumerate(channels)])
    assert out.shape == (2, 10, 32 >> (branches - 1), 32 >> (branches - 1))
    assert len(fuse.downsample_layers) == branches - 1


def test_norm_reaches_every_layer():
    fuse = tiny(norm_cfg=dict(type='GN', num_groups=2))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fuse.modules())
    assert sum(isinstance(m, nn.GroupNorm) for m in fuse.modules()) == 4 * 4 + 3 + 1


def test_checkpointing_gives_the_same_gradients():
    feats = [image((2, c, 16 >> i, 16 >> i), seed=i).requires_grad_() for i, c in enumerate(TINY.channels)]
    plain, cp = tiny(), tiny(with_cp=True)
    for fuse in (plain, cp):
        fuse(feats)[0].square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), cp.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=256), r'`in_channels` \(256\) must list'),
        (dict(in_channels=[]), r'`in_channels` \(\[\]\)'),
        (dict(in_channels=[4] * 5), r'`mid_channels` \(\(128, 256, 512, 1024\)\) must be .* of the 5 maps'),
        (dict(in_channels=[4], mid_channels=[6]), r'`mid_channels` \(\(6,\)\) must be multiples of 4'),
    ],
    ids=str,
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        HRFuseScales(**options)


def test_maps_of_another_backbone_are_named():
    with pytest.raises(ValueError, match=r'`in_channels` \(\(4, 8, 16, 32\)\) does not fit .* \(4, 8\)'):
        tiny()([image((1, 4, 8, 8)), image((1, 8, 4, 4))])
