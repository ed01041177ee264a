"""Winograd's convolutions: a plain convolution's outputs and rounding, chosen where they are faster."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hrnet_plugins.inference.fused import winograd
from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.fused.winograd import MIN_CHANNELS, WinogradConv, is_profitable
from tests.helpers.networks import assert_equal, fill, image


@pytest.mark.parametrize('size', [(1, 40, 48), (2, 33, 47), (1, 64, 31), (3, 8, 8)])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('band', [1, 1 << 16, 1 << 20], ids=['one row', 'two small images', 'whole images'])
def test_winograds_convolution(size, bias, band, monkeypatch):
    monkeypatch.setattr(winograd, 'BAND_BYTES', band)
    batch, height, width = size
    conv = fill(nn.Conv2d(24, 40, 3, padding=1, bias=bias))
    x = image((batch, 24, height, width))
    with torch.no_grad():
        exact = F.conv2d(x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), padding=1)
        out = WinogradConv(conv.weight, conv.bias, conv)(x.contiguous(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_equal(out.double(), exact, 3e-6)


def test_winograds_convolution_rounds_no_more_than_the_plain_one_by_much():
    torch.manual_seed(0)
    conv = nn.Conv2d(256, 64, 3, padding=1)
    x = image((1, 256, 32, 32))
    with torch.no_grad():
        exact = conv.double()(x.double())
        out = WinogradConv(conv.float().weight, conv.bias, conv)(x)
    assert_equal(out.double(), exact, 4e-6)


@pytest.mark.parametrize(
    ('options', 'chosen'),
    [
        ({}, True),
        (dict(stride=2), False),
        (dict(padding=2, dilation=2), False),
        (dict(groups=2), False),
        (dict(out_channels=MIN_CHANNELS - 1), False),
        (dict(kernel_size=1, padding=0), False),
        (dict(dtype=torch.bfloat16), False),
    ],
)
def test_only_wide_plain_convolutions_are_winograds(options, chosen, monkeypatch):
    monkeypatch.setattr(winograd, 'has_only_avx2', lambda: False)
    channels = MIN_CHANNELS
    conv = nn.Conv2d(**{**dict(in_channels=channels, out_channels=channels, kernel_size=3, padding=1), **options})
    assert is_profitable(conv.weight, conv) is chosen
    assert isinstance(optimize(conv, conv.weight.dtype), WinogradConv) is chosen


@pytest.mark.parametrize(
    ('capability', 'limit', 'fewest'),
    [
        ('AVX512', None, 96),
        ('AVX512', 'AVX512_CORE', 96),
        ('AVX512', 'avx2', 40),
        ('AVX2', None, 40),
        ('DEFAULT', None, 96),  # no x86, or an old one
    ],
)
def test_fewer_channels_are_enough_without_avx512(monkeypatch, capability, limit, fewest):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
    monkeypatch.delenv('DNNL_MAX_CPU_ISA', raising=False)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if limit:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', limit)
    chosen = [n for n in range(30, 100) if is_profitable((conv := nn.Conv2d(n, n, 3, padding=1)).weight, conv)]
    assert chosen[0] == fewest
    conv = fill(nn.Conv2d(48, 48, 3, padding=1)).requires_grad_(False)
    x = image((1, 48, 33, 47))
    assert_equal(WinogradConv(conv.weight, conv.bias, conv)(x), conv(x))
