"""Accelerated models: the plain one's outputs, modes and state."""

import copy
import pickle

import pytest
import torch
from torch import nn

from hrnet_plugins.inference import BACKENDS, accelerate
from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.accelerated import MODULES, TOLERANCE, assert_same, built, in_channels
from tests.helpers.networks import assert_equal, fill, image


@pytest.mark.parametrize(
    ('name', 'dtype'),
    # A group norm stays a norm, on convolutions that bfloat16 has rounded: nothing promises 3e-2 there.
    [(name, dtype) for name in MODULES for dtype in TOLERANCE if (name, dtype) != ('group norm', 'bf16')],
)
def test_outputs_are_the_plain_ones(name, dtype):
    plain = built(name)
    before = copy.deepcopy(plain.state_dict())
    fast = accelerate(plain, dtype=dtype)
    for size in ((1, 64, 96), (2, 97, 131)):
        batch, height, width = size
        assert_same(fast, plain, image((batch, in_channels(plain), height, width)), TOLERANCE[dtype])
    assert isinstance(fast, type(plain))
    assert all(torch.equal(value, before[key]) for key, value in plain.state_dict().items()), 'the model is untouched'


def test_batches_of_one_to_eight():
    plain = built('fpn')
    fast = accelerate(plain)
    for batch in range(1, 9):
        assert_same(fast, plain, image((batch, 3, 33, 47), seed=batch))


@pytest.mark.parametrize(
    'arch', ['w18_small_v1', *(pytest.param(arch, marks=pytest.mark.slow) for arch in ('w18', 'w48'))]
)
@pytest.mark.parametrize('dtype', TOLERANCE)
def test_published_widths(arch, dtype):
    backbone = HRNet(arch)
    plain = fill(nn.Sequential(backbone, HRFPN(backbone.out_channels))).eval()
    assert_same(accelerate(plain, dtype=dtype), plain, image((1, 3, 160, 165)), TOLERANCE[dtype])


def test_necks_alone():
    backbone = built('tiny')
    neck = fill(HRFPN(backbone.out_channels, 16)).eval()
    with torch.no_grad():
        feats = backbone(image((1, 3, 97, 131)))
    assert_same(accelerate(neck), neck, feats)


def test_a_module_that_returns_a_tensor_still_does():
    plain = fill(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())).eval()
    x = image((2, 3, 8, 9))
    with torch.no_grad():
        assert_equal(accelerate(plain)(x), plain(x))


def test_outputs_have_the_precision_of_the_images():
    fast = accelerate(built('tiny'), dtype=torch.bfloat16)
    x = image((1, 3, 64, 64))
    assert {out.dtype for out in fast(x)} == {torch.float32}
    assert {out.dtype for out in fast(x.bfloat16())} == {torch.bfloat16}
    assert not any(out.requires_grad for out in fast(x))


def test_to_another_precision():
    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    fast(x)
    assert fast.double() is fast
    assert plain.conv1.weight.dtype == torch.float64
    with torch.no_grad():
        assert_equal(fast(x.double())[0], plain(x.double())[0])


def test_training_is_the_plain_models():
    plain, other = built('tiny'), built('tiny')
    fast = accelerate(plain)
    x = image((2, 3, 64, 64))
    fast(x)
    fast.train()
    other.train()
    assert plain.training
    fast(x)[0].sum().backward()
    other(x)[0].sum().backward()
    assert torch.equal(plain.conv1.weight.grad, other.conv1.weight.grad)
    assert torch.equal(plain.bn1.running_mean, other.bn1.running_mean)
    assert list(fast.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_copies_are_accelerated_and_of_their_own(copied):
    fast = accelerate(built('tiny'), dtype='bf16')
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    other = copied(fast)
    assert type(other) is type(fast)
    assert_equal(other(x)[0], before, 1e-6)
    with torch.no_grad():
        other.conv1.weight.mul_(2)
    assert torch.equal(fast(x)[0], before)
    assert not torch.equal(other(x)[0], before)


def test_accelerating_twice_changes_the_choices():
    fast = accelerate(accelerate(built('tiny')), dtype='bf16')
    assert type(fast).__name__ == 'AcceleratedHRNet'
    assert fast(image((1, 3, 64, 64)).bfloat16())[0].dtype == torch.bfloat16


def test_an_image_without_a_batch_is_refused_as_by_the_plain_model():
    plain = built('tiny')
    messages = []
    for model in (plain, accelerate(plain)):
        with pytest.raises(ValueError, match='64') as caught:
            model(torch.zeros(3, 64, 64))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(backend='cuda'), rf"`backend` \('cuda'\) is unknown; known: {', '.join(BACKENDS)}"),
        (dict(dtype='int8'), r"`dtype` \('int8'\) must be one of fp32, bf16, fp16"),
        (dict(dtype=torch.float64), r'`dtype` \(torch.float64\) must be one of'),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        accelerate(nn.Identity(), **options)


def test_fp16_needs_a_cpu_that_has_it(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_fp16_supported', lambda: False)
    fast = accelerate(built('tiny'), dtype='fp16')
    with pytest.raises(ValueError, match=r'`dtype` \(torch.float16\) is slower than float32 on this CPU'):
        fast(image((1, 3, 64, 64)))
