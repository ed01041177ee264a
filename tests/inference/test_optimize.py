"""Optimised copies of modules: the original's outputs, whatever is fused, padded or split."""

import pytest
import torch
from torch import nn

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.fused import modules, onednn
from hrnet_plugins.inference.fused.conv_bn import FusedConv
from hrnet_plugins.inference.fused.modules import FusedResidualBlock
from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.fused.winograd import MIN_CHANNELS, WinogradConv
from hrnet_plugins.models import HRFPN, HRNet
from hrnet_plugins.models.layers import BasicBlock, LayerFactory
from tests.helpers.accelerated import built
from tests.helpers.networks import TINY, assert_equal, fill, image


@pytest.mark.parametrize('multiple', [8, 5])
def test_channels_of_zeros_change_nothing(multiple):
    plain = fill(HRNet(TINY)).eval()
    fast = optimize(plain, torch.float32, channel_multiple=multiple)
    widths = {m.weight.shape[0] for m in fast.modules() if hasattr(m, 'geometry')}
    assert all(width % multiple == 0 for width in widths)
    x = image((2, 3, 97, 131))
    with torch.no_grad():
        for a, b in zip(fast(x), plain(x), strict=True):
            assert_equal(a, b)


def test_a_network_whose_norms_stay_is_not_padded():
    plain = fill(HRNet(TINY, norm_cfg=dict(type='GN', num_groups=4))).eval()
    fast = optimize(plain, torch.float32, channel_multiple=8)
    x = image((1, 3, 64, 64))
    with torch.no_grad():
        for a, b in zip(fast(x), plain(x), strict=True):
            assert_equal(a, b)


def test_large_batches_are_taken_in_parts(monkeypatch):
    plain = fill(HRNet(TINY)).eval()
    fast = optimize(plain, torch.float32)
    seen = []
    maps = type(fast)._run_piece
    monkeypatch.setattr(type(fast), '_run_piece', lambda self, x: (seen.append(len(x)), maps(self, x))[1])
    monkeypatch.setattr(modules, 'MAX_PIXELS', 2 * 64 * 96)
    with torch.no_grad():
        for size, parts in (((5, 3, 64, 96), [2, 2, 1]), ((2, 3, 64, 96), [2]), ((2, 3, 97, 131), [1, 1])):
            x = image(size)
            for a, b in zip(fast(x), plain(x), strict=True):
                assert_equal(a, b)
                assert a.is_contiguous(memory_format=torch.channels_last)
            assert seen == parts
            seen.clear()
        batches = []
        plain.layer1.register_forward_hook(lambda module, args, output: batches.append(len(output)))
        fast(image((5, 3, 64, 96)))
    assert batches == [5]


@pytest.mark.parametrize(
    ('name', 'banded'),
    [('tiny', True), ('bottlenecks', True), ('bilinear', True), ('grey', True), ('group norm', False)],
)
@pytest.mark.parametrize('size', [(1, 1024, 64), (1, 1029, 61), (2, 1000, 37), (1, 1025, 3), (1, 60, 900)])
def test_large_images_go_through_stage_1_in_bands(monkeypatch, name, banded, size):
    plain = built(name)
    fast = optimize(plain, torch.float32)
    rows, first_maps = [], type(fast)._first_maps
    monkeypatch.setattr(type(fast), '_first_maps', lambda self, x: (rows.append(x.shape[2]), first_maps(self, x))[1])
    monkeypatch.setattr(modules, 'BAND_PIXELS', 100 * size[2])
    batch, height, width = size
    x = image((batch, plain.in_channels, height, width))
    with torch.no_grad():
        for a, b in zip(fast(x), plain(x), strict=True):
            assert_equal(a, b)
            assert a.is_contiguous(memory_format=torch.channels_last)
        banded = banded and batch * height * width > modules.BAND_PIXELS
        assert (len(rows) > 1) is banded and (not rows or max(rows) < 400)
        rows.clear()
        plain.layer1.register_forward_hook(lambda module, args, output: rows.append(output.shape[2]))
        fast(x)
    assert rows == [-(-height // 4)], 'a hook sees the whole map'


def test_a_cpu_without_instructions_for_bfloat16_computes_as_pytorch_does(monkeypatch):
    monkeypatch.setattr(onednn, '_SUPPORTED', {**onednn._SUPPORTED, torch.bfloat16: lambda: False})
    plain = fill(HRNet(TINY)).eval()
    kinds = {
        dtype: {type(m) for m in optimize(plain, dtype).modules() if isinstance(m, FusedConv)}
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert kinds == {torch.float32: {onednn.PackedConv}, torch.bfloat16: {FusedConv}}


def test_wide_necks_and_heads_have_them():
    neck = fill(HRFPN((4, 8, 16, 32), MIN_CHANNELS)).eval()
    fast = optimize(neck, torch.float32)
    assert sum(isinstance(module, WinogradConv) for module in fast.modules()) == 5
    feats = [image((1, c, s, s + 1)) for c, s in ((4, 36), (8, 18), (16, 9), (32, 5))]
    with torch.no_grad():
        for a, b in zip(fast(feats), neck(feats), strict=True):
            assert_equal(a, b)


def test_mmcvs_fused_model_is_accelerated_too():
    from mmcv.cnn import fuse_conv_bn  # noqa: PLC0415

    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    fuse_conv_bn(fast)
    assert isinstance(plain.bn1, nn.Identity)
    assert_equal(fast(x)[0], before)


def test_fusing_follows_the_forward_not_the_order_of_registration():
    from mmcv.cnn import ConvModule  # noqa: PLC0415

    before = ConvModule(4, 4, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act'))
    plain = fill(nn.Sequential(before, nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))).eval()
    x = image((2, 4, 9, 9))
    with torch.no_grad():
        assert_equal(accelerate(plain)(x), plain(x))


class Renamed(BasicBlock):
    """A block that keeps the forward, and names its layers itself."""

    def conv_norm_pairs(self):
        return iter([('conv1', 'bn1'), ('conv2', 'bn2')])


class Doubled(BasicBlock):
    """A block with a forward of its own, which no fused block may replace."""

    def forward(self, x):
        return super().forward(x) * 2


@pytest.mark.parametrize(('cls', 'fused'), [(BasicBlock, True), (Renamed, True), (Doubled, False)])
def test_blocks_of_subclasses_are_fused_where_they_keep_the_forward(cls, fused):
    plain = fill(cls(4, 8, LayerFactory())).eval()
    fast = optimize(plain, torch.float32)
    assert isinstance(fast, FusedResidualBlock) is fused
    assert isinstance(fast.bn1, nn.Identity) is fused
    x = image((2, 4, 9, 9))
    with torch.no_grad():
        assert_equal(fast(x), plain(x))
