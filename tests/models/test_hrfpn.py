"""The neck's arguments, sizes and errors; equality with mmdet's is in ``parity``."""

import pytest
import torch
from torch import nn

from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.networks import TINY, fill, image


def feats(size=(96, 64)):
    return fill(HRNet(TINY)).eval()(image((2, 3, *size)))


@pytest.mark.parametrize('pooling', ['avg', 'max'])
@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('num_outs', [1, 5, 6])
@pytest.mark.parametrize('size', [(1, 1), (33, 61), (97, 131), (256, 320)], ids=str)
def test_levels_of_any_size(size, num_outs, stride, pooling):
    neck = HRFPN(TINY.channels, 8, num_outs=num_outs, stride=stride, pooling=pooling)
    maps = feats(size)
    height, width = maps[0].shape[2:]
    outs = neck(maps)
    assert neck.out_channels == 8
    assert (neck.num_ins, neck.num_outs) == (4, num_outs)
    for i, out in enumerate(outs):
        pooled = (max(height // 2**i, 1), max(width // 2**i, 1))
        assert out.shape == (2, 8, *(-(-side // stride) for side in pooled))
    assert len(outs) == num_outs


def test_pooling_is_what_it_says():
    maps = feats()
    necks = [fill(HRFPN(TINY.channels, 8, pooling=pooling)) for pooling in ('avg', 'max')]
    (fine_a, *coarse_a), (fine_b, *coarse_b) = (neck(maps) for neck in necks)
    assert torch.equal(fine_a, fine_b)
    assert not any(torch.allclose(a, b) for a, b in zip(coarse_a, coarse_b, strict=True))


def test_norm_is_used():
    plain = HRFPN(TINY.channels, 8)
    normed = HRFPN(TINY.channels, 8, norm_cfg=dict(type='GN', num_groups=2))
    assert not any(isinstance(m, nn.GroupNorm) for m in plain.modules())
    assert sum(isinstance(m, nn.GroupNorm) for m in normed.modules()) == 6
    assert all(p.grad is not None for p in _backward(normed).parameters())


def test_checkpointing_gives_the_same_gradients():
    plain, cp = (_backward(fill(HRFPN(TINY.channels, 8, with_cp=with_cp))) for with_cp in (False, True))
    for (name, a), b in zip(plain.named_parameters(), cp.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-5), name


def _backward(neck):
    maps = [f.detach().requires_grad_() for f in feats()]
    sum(out.square().sum() for out in neck(maps)).backward()
    return neck


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(in_channels=256), r'`in_channels` \(256\) must list'),
        (dict(in_channels=[]), r'`in_channels` \(\[\]\)'),
        (dict(num_outs=0), r'`num_outs` \(0\) must be at least 1'),
        (dict(stride=0), r'`stride` \(0\) must be at least 1'),
        (dict(pooling='MAX'), r"`pooling` \('MAX'\) must be 'avg' or 'max'"),
    ],
)
def test_refused_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        HRFPN(**{'in_channels': TINY.channels, **options})


@pytest.mark.parametrize('channels', [(4, 8, 16), (8, 16, 32, 64)], ids=str)
def test_wrong_channels_from_the_backbone(channels):
    neck = HRFPN(channels, 8)
    with pytest.raises(ValueError, match=r'`in_channels` .* does not fit the maps received, of \(4, 8, 16, 32\)'):
        neck(feats())
