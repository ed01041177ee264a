"""Packed weights: right and fast for every map shape."""

import timeit

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hrnet_plugins.inference.fused import onednn
from tests.helpers.networks import assert_equal, fill, image

DTYPES = (torch.float32, torch.bfloat16)
PACKED = [dtype for dtype in DTYPES if onednn.supports_packed_weights(torch.empty(1, dtype=dtype))]
"""What this processor's weights are packed in: bfloat16 where it has the instructions."""


@pytest.mark.parametrize('dtype', PACKED, ids=str)
def test_weights_are_packed_for_every_shape(dtype, monkeypatch):
    monkeypatch.setattr(onednn, 'MAX_CACHED_SHAPES', 3)
    conv = fill(nn.Conv2d(192, 192, 3, padding=1)).requires_grad_(False)
    fast = onednn.direct_conv(conv.weight.to(dtype), conv.bias.to(dtype), conv)
    packed, times = {}, {}
    for size in ((8, 8), (64, 64), (64, 66), (32, 32), (16, 16), (8, 8)):
        x = image((1, 192, *size)).to(dtype).contiguous(memory_format=torch.channels_last)
        runs = {
            'packed': lambda x=x: fast.with_relu(x),
            'plain': lambda x=x: F.conv2d(x, fast.weight, fast.bias, padding=1).relu_(),
        }
        assert_equal(runs['packed']().float(), runs['plain']().float(), 1e-5 if dtype == torch.float32 else 1e-2)
        packed[size] = fast.packed._by_shape[x.shape]
        times[size] = {name: min(timeit.repeat(run, number=1, repeat=9)) for name, run in runs.items()}
        assert len(fast.packed._by_shape) <= 3
    assert packed[64, 64] is packed[64, 66], 'a layout is held once'
    slow = {size: found for size, found in times.items() if found['packed'] > 4 * found['plain']}
    assert not slow, 'the wrong layout takes ten times as long'


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_a_head_without_proposals_has_no_outputs(dtype):
    conv = fill(nn.Conv2d(16, 24, 3, padding=1)).requires_grad_(False)
    fast = onednn.direct_conv(conv.weight.to(dtype), conv.bias.to(dtype), conv)
    x = torch.zeros(0, 16, 14, 14, dtype=dtype)
    assert fast(x).shape == fast.with_relu(x).shape == (0, 24, 14, 14)
