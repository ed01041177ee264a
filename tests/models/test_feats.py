"""1x1 convolutions of a concatenation: the same numbers without it, for every size, where the convolution is plain."""

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn

from hrnet_plugins.inference.fused.conv_bn import FusedConv
from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.models import HRFPN
from hrnet_plugins.models.feats import concat_feats, conv_norm_of_concat, conv_of_concat
from tests.helpers.networks import TINY, assert_equal, fill, image

CHANNELS = TINY.channels
SIZES = [(32, 48), (33, 47), (7, 5), (1, 1), (64, 2)]


def feats_of(size, channels=CHANNELS):
    shapes = [(2, c, -(-size[0] // 2**i), -(-size[1] // 2**i)) for i, c in enumerate(channels)]
    return [image(shape, seed).requires_grad_() for seed, shape in enumerate(shapes)]


def results(module, feats, outs):
    outs = [outs] if isinstance(outs, torch.Tensor) else outs
    weights = [image(tuple(out.shape), seed) for seed, out in enumerate(outs, start=9)]
    learning = [p for p in module.parameters() if p.requires_grad]
    return [*outs, *torch.autograd.grad(sum((o * w).sum() for o, w in zip(outs, weights)), [*feats, *learning])]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_numbers_and_gradients(size, align_corners):
    conv = fill(nn.Conv2d(sum(CHANNELS), 12, 1))
    feats = feats_of(size)
    a = results(conv, feats, conv_of_concat(conv, feats, CHANNELS, align_corners=align_corners))
    b = results(conv, feats, conv(concat_feats(feats, align_corners=align_corners)))
    for found, expected in zip(a, b, strict=True):
        assert_equal(found, expected, 2e-6)


@pytest.mark.parametrize('training', [False, True], ids=['fixed', 'learning'])
@pytest.mark.parametrize('align_corners', [False, True])
def test_with_a_norm(align_corners, training):
    conv, norm = fill(nn.Conv2d(sum(CHANNELS), 12, 1, bias=False)), fill(nn.BatchNorm2d(12)).train(training)
    both = nn.ModuleList([conv, norm])
    feats = feats_of((33, 47))
    a = results(both, feats, conv_norm_of_concat(conv, norm, feats, CHANNELS, align_corners=align_corners))
    b = results(both, feats, norm(conv(concat_feats(feats, align_corners=align_corners))))
    for found, expected in zip(a, b, strict=True):
        assert_equal(found, expected, 1e-5)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_nothing_large_is_kept(layout):
    conv = fill(nn.Conv2d(sum(CHANNELS), 12, 1))
    feats = [x.detach().contiguous(memory_format=layout).requires_grad_() for x in feats_of((64, 64))]
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: kept.update({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()}) or t, lambda t: t
    ):
        conv_of_concat(conv, feats, CHANNELS, align_corners=False)
    own = sum(x.untyped_storage().nbytes() for x in (*feats, *conv.parameters()))
    assert sum(kept.values()) <= own


OTHER = {
    '3x3': lambda: nn.Conv2d(60, 12, 3, padding=1),
    'strided': lambda: nn.Conv2d(60, 12, 1, stride=2),
    'padded': lambda: nn.Conv2d(60, 12, 1, padding=1),
    'groups': lambda: nn.Conv2d(60, 12, 1, groups=4),
    'standardised weight': lambda: build_conv_layer(dict(type='ConvWS'), 60, 12, 1),
    'parametrised': lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(60, 12, 1)),
}


@pytest.mark.parametrize('kind', OTHER)
@pytest.mark.parametrize('fixed_norm', [False, True], ids=['alone', 'norm'])
def test_other_convolutions_take_the_concatenation(kind, fixed_norm):
    conv, norm = fill(OTHER[kind]()), fill(nn.BatchNorm2d(12)).eval()
    feats = feats_of((33, 47))
    expected = conv(concat_feats(feats, align_corners=False))
    if fixed_norm:
        found, expected = conv_norm_of_concat(conv, norm, feats, CHANNELS, align_corners=False), norm(expected)
        assert_equal(found, expected)
    else:
        assert torch.equal(conv_of_concat(conv, feats, CHANNELS, align_corners=False), expected)


def test_a_hook_sees_the_concatenation():
    conv, seen = fill(nn.Conv2d(sum(CHANNELS), 12, 1)), []
    conv.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    conv_of_concat(conv, feats_of((8, 8)), CHANNELS, align_corners=False)
    assert seen[0].shape == (2, sum(CHANNELS), 8, 8)


@pytest.mark.parametrize('kind', ['1x1', '3x3'])
@pytest.mark.parametrize('bias', [False, True])
def test_an_accelerated_convolution(kind, bias):
    conv = fill(nn.Conv2d(sum(CHANNELS), 12, int(kind[0]), padding=int(kind == '3x3'), bias=bias))
    fused = FusedConv(conv.weight.detach(), conv.bias, conv)
    feats = feats_of((33, 47))
    with torch.no_grad():
        found = conv_of_concat(fused, feats, CHANNELS, align_corners=False)
        assert_equal(found, conv(concat_feats(feats, align_corners=False)))
    assert len(fused.state_dict()) == 2 if bias else 1


@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN')], ids=['plain', 'norms'])
@pytest.mark.parametrize('only_fuse', [False, True])
def test_an_accelerated_neck(only_fuse, norm_cfg):
    neck = fill(HRFPN(CHANNELS, 16, norm_cfg=norm_cfg)).eval()
    fast = optimize(neck, torch.float32, only_fuse=only_fuse)
    feats = feats_of((33, 47))
    with torch.no_grad():
        for found, expected in zip(fast(feats), neck(feats), strict=True):
            assert_equal(found, expected)


def test_the_neck_keeps_the_layout_of_its_input():
    """Operators of mmcv read channels-last maps as noise."""
    neck = fill(HRFPN(CHANNELS, 16))
    feats = feats_of((32, 32))
    assert all(out.is_contiguous() for out in neck(feats))
    feats = [x.contiguous(memory_format=torch.channels_last) for x in feats]
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in neck(feats))
