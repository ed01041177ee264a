"""A convolution and a norm with fixed statistics as one convolution: the same numbers, and hooks run."""

import pickle

import pytest
import torch
from mmcv.cnn import build_conv_layer
from torch import nn

from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from hrnet_plugins.models.conv_norm import ConvModule, conv_norm
from hrnet_plugins.models.scaled_conv import ScaledConv
from tests.helpers.networks import TINY, assert_equal, fill, image

GEOMETRIES = {
    '3x3': dict(kernel_size=3, padding=1),
    'strided': dict(kernel_size=3, stride=2, padding=1),
    '1x1': dict(kernel_size=1),
    'groups': dict(kernel_size=3, groups=2, dilation=2),
    'with bias': dict(kernel_size=3, bias=True),
}
NORMS = {
    'affine': nn.BatchNorm2d(6),
    'without affine': nn.BatchNorm2d(6, affine=False),
    'synchronised': nn.SyncBatchNorm(6),
    'frozen': nn.BatchNorm2d(6).requires_grad_(False),
}


def pair(geometry='3x3', norm='affine', dtype=torch.float32):
    conv = nn.Conv2d(4, 6, **{'bias': False, **GEOMETRIES[geometry]})
    norm = pickle.loads(pickle.dumps(NORMS[norm]))  # noqa: S301, made in the same line
    return fill(conv).to(dtype), fill(norm).to(dtype).eval()


def is_fused(out):
    return 'Norm' not in type(out.grad_fn).__name__


def is_precise(out):
    return 'ScaledConv' in type(out.grad_fn).__name__


def step(conv, norm, x, *, efficient):
    """Output and gradients of the input and of what learns."""
    x = x.clone().requires_grad_()
    learning = [p for module in (conv, norm) for p in module.parameters() if p.requires_grad]
    out = conv_norm(conv, norm, x, efficient=efficient)
    return out, torch.autograd.grad(out.to(x.dtype).square().mean(), [x, *learning])


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_outputs_and_gradients_are_those_of_two_steps(geometry, norm):
    conv, norm = pair(geometry, norm, torch.float64)
    x = image((2, 4, 17, 15)).double()
    before = {**norm.state_dict()}
    (a, grads), (b, expected) = (step(conv, norm, x, efficient=efficient) for efficient in (True, False))
    assert is_fused(a)
    assert not is_fused(b)
    for found, other in zip((a, *grads), (b, *expected), strict=True):
        assert_equal(found, other, 1e-12)
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())


def test_derivatives_of_both_orders():
    mean, var = image((4,), 8).double(), image((4,), 9).double().square()

    def run(*values):
        return ScaledConv.apply(*values, mean, var, 1e-5, torch.float64, ((2, 1), (1, 0), (1, 1), 2))

    shapes = ((1, 4, 4, 3), (4, 2, 3, 2), (4,), (4,), (4,))
    inputs = [image(shape, seed).double().requires_grad_() for seed, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_function_transforms():
    conv, norm = pair(dtype=torch.float64)
    x = image((3, 4, 5, 5)).double()

    def loss(weights, x, efficient):
        conv_norm_ = lambda x: conv_norm(conv, norm, x, efficient=efficient)  # noqa: E731
        del weights
        return conv_norm_(x).square().sum()

    a, b = (torch.func.grad(lambda x, e=e: loss(None, x, e))(x) for e in (True, False))
    assert_equal(a, b, 1e-12)


@pytest.fixture(params=['fast in bf16', 'slow in bf16'])
def processor(request, monkeypatch):
    fast = request.param == 'fast in bf16'
    monkeypatch.setattr('hrnet_plugins.models.conv_norm._is_faster_in_bf16', lambda: fast)
    return request.param


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_scales_in_float32(dtype, processor):
    conv, norm = pair()
    norm.running_var.mul_(1e-6)  # a scale that float16 has no number for once it is squared
    x = image((2, 4, 9, 7))
    with torch.autocast('cpu', dtype):
        out, grads = step(conv, norm, x, efficient=True)
        assert out.dtype == dtype
        assert [grad.dtype for grad in grads] == [torch.float32] * 4
    inside = torch.float32 if dtype == torch.bfloat16 and processor == 'slow in bf16' else dtype
    weight = (conv.weight * (norm.weight * (norm.running_var + norm.eps).rsqrt())[:, None, None, None]).to(inside)
    shift = norm.bias - norm.running_mean * norm.weight * (norm.running_var + norm.eps).rsqrt()
    expected = torch.conv2d(x.to(dtype).to(inside), weight, shift.to(inside), padding=1).to(dtype)
    assert_equal(out, expected, 1e-6)
    _, expected = step(conv, norm, x, efficient=False)
    for found, other in zip(grads, expected, strict=True):
        assert_equal(found, other, 5e-2)


def kept_by(module, x):
    kept = []
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t),
        torch.autocast('cpu', torch.bfloat16),
    ):
        out = module(x)
    return out, kept


@pytest.mark.parametrize('norm', [None, dict(type='BN')], ids=['alone', 'with norm'])
def test_a_slow_processor_keeps_maps_in_bfloat16_and_computes_in_float32(norm, monkeypatch):
    """The gradients are nearer to those of float32 than the processor's own bfloat16 gives."""
    module = fill(ConvModule(4, 6, 3, padding=1, norm_cfg=norm, act_cfg=None)).eval()
    x = image((2, 4, 9, 7)).bfloat16().requires_grad_()
    monkeypatch.setattr('hrnet_plugins.models.conv_norm._is_faster_in_bf16', lambda: False)
    out, kept = kept_by(module, x)
    assert out.dtype == torch.bfloat16
    assert is_precise(out)
    assert all(t.dtype == torch.bfloat16 for t in kept if t.shape in (x.shape, out.shape))
    values = [x, *module.parameters()]
    direction = image(tuple(out.shape), seed=1).bfloat16()
    found = torch.autograd.grad(out, values, direction)
    assert [grad.dtype for grad in found] == [value.dtype for value in values]
    expected = torch.autograd.grad(module(x.float()), values, direction.float())
    assert_equal(found[0].float(), expected[0].float(), 5e-3)  # rounded to bfloat16
    for grad, other in zip(found[1:], expected[1:], strict=True):
        assert_equal(grad, other, 1e-5)


def test_a_fast_processor_computes_a_convolution_alone_as_autocast_does(monkeypatch):
    monkeypatch.setattr('hrnet_plugins.models.conv_norm._is_faster_in_bf16', lambda: True)
    module = fill(ConvModule(4, 6, 3, act_cfg=None))
    out, _ = kept_by(module, image((2, 4, 9, 7)))
    assert not is_precise(out)
    assert out.dtype == torch.bfloat16


def test_layers_in_low_precision():
    conv, norm = pair(dtype=torch.bfloat16)
    out, grads = step(conv, norm, image((2, 4, 9, 7)).bfloat16(), efficient=True)
    assert {out.dtype, *(grad.dtype for grad in grads)} == {torch.bfloat16}


def listened(register):
    conv, norm = pair()
    register(conv, norm)
    return conv, norm


TWO_STEPS = {
    'training': lambda conv, norm: norm.train(),
    'no statistics': lambda conv, norm: norm.__init__(6, track_running_stats=False),
    'hook of the convolution': lambda conv, norm: conv.register_forward_hook(lambda *_: None),
    'hook of the norm': lambda conv, norm: norm.register_forward_hook(lambda *_: None),
    'hook before the norm': lambda conv, norm: norm.register_forward_pre_hook(lambda *_: None),
    'backward hook': lambda conv, norm: norm.register_full_backward_hook(lambda *_: None),
    'spectral norm': lambda conv, norm: nn.utils.parametrizations.spectral_norm(conv),
    'other forward': lambda conv, norm: setattr(norm, 'forward', lambda x: x),
    'other padding': lambda conv, norm: setattr(conv, 'padding_mode', 'circular'),
}


def one_convolution(*args):
    raise AssertionError('one convolution')


def test_plain_layers_are_one_convolution(monkeypatch):
    monkeypatch.setattr(torch, 'conv2d', one_convolution)
    with pytest.raises(AssertionError, match='one convolution'):
        conv_norm(*pair(), image((2, 4, 9, 7)))


@pytest.mark.parametrize('what', TWO_STEPS)
def test_two_steps_where_the_layers_are_not_plain(what, monkeypatch):
    conv, norm = listened(TWO_STEPS[what])
    monkeypatch.setattr(torch, 'conv2d', one_convolution)
    conv_norm(conv, norm, image((2, 4, 9, 7)))


@pytest.mark.parametrize('kind', ['ConvWS', 'ConvAWS'])
def test_two_steps_for_other_convolutions(kind):
    conv = build_conv_layer(dict(type=kind), 4, 6, 3)
    assert not is_fused(conv_norm(conv, pair()[1], image((2, 4, 9, 7))))


def test_a_hook_sees_the_convolution():
    conv, norm = pair()
    x, seen = image((2, 4, 9, 7)), []
    conv.register_forward_hook(lambda module, inputs, output: seen.append(output))
    conv_norm(conv, norm, x)
    assert_equal(seen[0], torch.conv2d(x, conv.weight, padding=1))


def test_two_steps_without_gradients():
    conv, norm = pair()
    x = image((2, 4, 9, 7))
    with torch.no_grad():
        assert torch.equal(conv_norm(conv, norm, x), norm(conv(x)))


@pytest.mark.parametrize('size', [(9, 7), (2, 3)], ids=['large', 'small'])
def test_the_smaller_one_of_scaled_weight_and_map_is_kept(size):
    conv, norm = pair()
    x = image((2, 4, *size)).requires_grad_()
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.update({t.data_ptr(): t.numel()}) or t, lambda t: t):
        out = conv_norm(conv, norm, x)
    sizes = sorted(kept.values())
    assert is_fused(out) == (size == (9, 7))
    assert max(sizes[:-3]) <= 6  # of one number a channel
    assert sizes[-3:] == sorted([x.numel(), conv.weight.numel(), min(conv.weight.numel(), out.numel())])


@pytest.mark.parametrize('geometry', GEOMETRIES)
@pytest.mark.parametrize('size', [(3, 3), (4, 5), (8, 6)], ids=str)
def test_small_maps_learn_the_same(geometry, size):
    conv, norm = pair(geometry, dtype=torch.float64)
    size = [max(side, conv.dilation[0] * (conv.kernel_size[0] - 1) + 1) for side in size]
    x = image((1, 4, *size)).double()
    (a, grads), (b, expected) = (step(conv, norm, x, efficient=efficient) for efficient in (True, False))
    for found, other in zip((a, *grads), (b, *expected), strict=True):
        assert_equal(found, other, 1e-12)


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('geometry', GEOMETRIES)
def test_the_function_of_slow_processors_learns_the_same(geometry, norm):
    """Also where bfloat16 is not what it computes in."""
    conv, norm = pair(geometry, norm, torch.float64)
    x = image((2, 4, 9, 7)).double().requires_grad_()
    learning = [x, *(p for module in (conv, norm) for p in module.parameters() if p.requires_grad)]
    values = norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps
    shape = conv.stride, conv.padding, conv.dilation, conv.groups
    outs = ScaledConv.run(x, conv.weight, conv.bias, *values, torch.float64, shape), norm(conv(x))
    found, expected = (torch.autograd.grad(out.square().mean(), learning) for out in outs)
    assert is_precise(outs[0])
    for grad, other in zip((outs[0], *found), (outs[1], *expected), strict=True):
        assert_equal(grad, other, 1e-12)


@pytest.mark.parametrize('what', ['nothing learns', 'only the input', 'only the norm'])
def test_only_what_backward_needs_is_kept(what):
    conv, norm = pair()
    conv.requires_grad_(False)
    norm.requires_grad_(what == 'only the norm')
    x = image((2, 4, 9, 7)).requires_grad_(what == 'only the input')
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.data_ptr()) or t, lambda t: t):
        out = conv_norm(conv, norm, x)
    assert (x.data_ptr() in kept) == (what == 'only the norm')
    if what != 'nothing learns':
        out.sum().backward()
    assert conv.weight.grad is None
    assert (norm.weight.grad is None) == (what != 'only the norm')
    assert (x.grad is None) == (what != 'only the input')


@pytest.mark.parametrize('activate', [True, False])
@pytest.mark.parametrize('norm', [True, False])
@pytest.mark.parametrize('order', [('conv', 'norm', 'act'), ('norm', 'conv', 'act')], ids='-'.join)
def test_mmcvs_module_keeps_its_arguments(order, norm, activate):
    modules = [
        fill(ConvModule(6, 6, 3, norm_cfg=dict(type='BN'), order=order, efficient_conv_bn_eval=efficient)).eval()
        for efficient in (True, False)
    ]
    x = image((2, 6, 9, 7))
    a, b = (module(x, activate=activate, norm=norm) for module in modules)
    assert_equal(a, b)


NETWORKS = {
    'norm_eval': lambda **o: HRNet(TINY, norm_eval=True, **o),
    'frozen stages': lambda **o: HRNet(TINY, frozen_stages=2, **o),
    'all frozen but the last': lambda **o: HRNet(TINY, frozen_stages=3, norm_eval=True, **o),
    'bottlenecks without configs': lambda **o: HRNet(TINY, plain_layer1=True, norm_eval=True, **o),
    'norms that do not learn': lambda **o: HRNet(
        TINY, norm_eval=True, norm_cfg=dict(type='BN', requires_grad=False), **o
    ),
}


@pytest.mark.parametrize('name', NETWORKS)
def test_a_backbone_with_the_option_learns_the_same(name):
    results = []
    for efficient in (True, False):
        model = fill(NETWORKS[name](efficient_conv_bn_eval=efficient)).train()
        outs = model(image((2, 3, 64, 96)))
        sum(out.square().mean() for out in outs).backward()
        results.append((outs, {name: p.grad for name, p in model.named_parameters()}, model.state_dict()))
    (outs, grads, state), (expected, expected_grads, expected_state) = results
    for out, other in zip(outs, expected, strict=True):
        assert_equal(out, other)
    greatest = max(grad.abs().max() for grad in expected_grads.values() if grad is not None)
    for key, grad in expected_grads.items():
        assert (grads[key] is None) == (grad is None), key
        assert grad is None or (grads[key] - grad).abs().max() <= 1e-5 * greatest, key
    assert list(state) == list(expected_state)
    assert all(torch.allclose(state[key], value, rtol=1e-5, atol=1e-6) for key, value in expected_state.items())


@pytest.mark.parametrize('neck', ['HRFPN', 'HRFuseScales'])
def test_necks_have_it_too(neck):
    cls, options = {
        'HRFPN': (HRFPN, dict(out_channels=8, norm_cfg=dict(type='BN'))),
        'HRFuseScales': (HRFuseScales, dict(out_channels=24, mid_channels=(8, 16, 24, 40))),
    }[neck]
    feats = [image((2, c, 16 >> i, 16 >> i), seed=i) for i, c in enumerate(TINY.channels)]
    results = []
    for efficient in (True, False):
        model = fill(cls(TINY.channels, **options, efficient_conv_bn_eval=efficient)).eval()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, kept=kept: kept.append(t.numel()) or t, lambda t: t):
            outs = model(feats)
        sum(out.square().mean() for out in outs).backward()
        results.append(([p.grad for p in model.parameters()], sum(kept)))
    (grads, kept), (expected, kept_in_two) = results
    assert kept < kept_in_two
    for grad, other in zip(grads, expected, strict=True):
        assert_equal(grad, other)
