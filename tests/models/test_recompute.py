"""Recomputing in backward: the same gradients and statistics at every grain, for less and less memory."""

import pytest
import torch
from torch import nn

from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from hrnet_plugins.models.recompute import run
from tests.helpers.networks import TINY, assert_equal, fill, image

GRAINS = [False, 'norm', 'block', 'module']
NORMS = {'BN': None, 'GN': dict(type='GN', num_groups=2), 'IN': dict(type='IN', track_running_stats=True, affine=True)}
MODELS = {
    'backbone': lambda **o: HRNet(TINY, **o),
    'bilinear': lambda **o: HRNet(TINY, upsample='bilinear', align_corners=False, upsample_by='factor', **o),
    'single branch': lambda **o: HRNet(TINY, multiscale_output=False, **o),
    'frozen stages': lambda **o: HRNet(TINY, frozen_stages=2, **o),
    'standardised weights': lambda **o: HRNet(TINY, conv_cfg=dict(type='ConvWS'), **o),
    'fuse': lambda **o: HRFuseScales(TINY.channels, 24, mid_channels=(8, 16, 24, 40), **o),
    'neck': lambda **o: HRFPN(TINY.channels, 8, **{'norm_cfg': dict(type='BN'), **o}),
}


def inputs_of(model):
    if isinstance(model, HRNet):
        return image((2, 3, 64, 96))
    return [image((2, c, 16 >> i, 24 >> i), seed=i).requires_grad_() for i, c in enumerate(TINY.channels)]


def step(name, *, steps=1, autocast=False, **options):
    """Gradients and buffers after some steps, and the bytes that backward needed in the first."""
    model = fill(MODELS[name](**options)).train()
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    for _ in range(steps):
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with hooks, torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            outs = model(inputs_of(model))
        sum(out.float().square().mean() for out in outs).backward()
    size = sum(count for pointer, count in kept.items() if pointer not in own)
    return {n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers()), size


def assert_same(a, b):
    greatest = max(grad.abs().max() for grad in b[0].values() if grad is not None)
    for name, grad in b[0].items():
        assert (grad is None) == (a[0][name] is None), name
        assert grad is None or (a[0][name] - grad).abs().max() <= 1e-6 * greatest, name
    for name, buffer in b[1].items():
        assert torch.equal(a[1][name], buffer), name


@pytest.mark.parametrize('name', MODELS)
@pytest.mark.parametrize('grain', GRAINS[1:])
def test_gradients_and_statistics_are_the_same(name, grain):
    assert_same(step(name, with_cp=grain), step(name))


@pytest.mark.parametrize('norm', NORMS)
@pytest.mark.parametrize('grain', GRAINS[1:])
def test_of_every_norm(norm, grain):
    assert_same(step('backbone', with_cp=grain, norm_cfg=NORMS[norm]), step('backbone', norm_cfg=NORMS[norm]))


@pytest.mark.parametrize('grain', GRAINS[1:])
def test_in_low_precision(grain):
    assert_same(step('backbone', with_cp=grain, autocast=True), step('backbone', autocast=True))


@pytest.mark.parametrize('grain', GRAINS)
def test_statistics_see_each_batch_once(grain):
    _, buffers, _ = step('backbone', with_cp=grain, steps=2)
    assert {int(value) for name, value in buffers.items() if name.endswith('num_batches_tracked')} == {2}


def test_each_grain_needs_less_memory():
    sizes = {grain: step('backbone', with_cp=grain)[2] for grain in GRAINS}
    assert sizes['norm'] < 0.7 * sizes[False]
    assert sizes['module'] < 0.2 * sizes[False]
    assert sizes['module'] < sizes['block'] < sizes[False]


def test_true_is_block():
    assert step('backbone', with_cp=True)[2] == step('backbone', with_cp='block')[2]


def test_fixed_statistics_need_no_recomputing_of_norms():
    a, b = (step('backbone', with_cp=grain, norm_eval=True) for grain in ('norm', False))
    assert a[2] == b[2]
    assert_same(a, b)


def test_convolutions_run_once():
    counts = []
    for grain in ('norm', 'module'):
        model = fill(HRNet(TINY, with_cp=grain)).train()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
            sum(out.square().mean() for out in model(image((2, 3, 64, 64)))).backward()
        ran = [event.count for event in profile.key_averages() if event.key == 'aten::conv2d']
        counts.append(sum(ran))
    convolutions = sum(isinstance(module, nn.Conv2d) for module in HRNet(TINY).modules())
    assert counts[0] == convolutions
    assert counts[1] > 1.5 * convolutions


def test_hooks_of_layers_run_once():
    model = fill(HRNet(TINY, with_cp='norm')).train()
    seen = []
    model.stage3[0].branches[1][0].bn1.register_forward_hook(lambda module, inputs, output: seen.append(output))
    sum(out.square().mean() for out in model(image((2, 3, 64, 64)))).backward()
    assert len(seen) == 1
    assert seen[0].requires_grad


def test_dropout_drops_the_same_again():
    torch.manual_seed(0)
    parts = fill(nn.Sequential(nn.Conv2d(3, 64, 1), nn.BatchNorm2d(64), nn.Dropout2d(0.5), nn.Conv2d(64, 2, 1)))
    parts.train()
    results = []
    for grain in ('', 'norm', 'module'):
        torch.manual_seed(1)
        x = image((4, 3, 8, 8)).requires_grad_()
        run(parts, [parts], grain, x).square().sum().backward()
        results.append((x.grad, torch.rand(1)))
    for grad, following in results[1:]:
        assert_equal(grad, results[0][0])
        assert torch.equal(following, results[0][1])


def test_a_convolution_that_is_written_over_is_refused():
    parts = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.BatchNorm2d(4))
    with pytest.raises(AssertionError, match='written over'):
        run(parts, [parts], 'norm', image((2, 3, 8, 8)))


@pytest.mark.parametrize('cls', [HRNet, HRFPN, HRFuseScales])
@pytest.mark.parametrize('value', ['stage', None, 2])
def test_refused_arguments(cls, value):
    first = TINY if cls is HRNet else TINY.channels
    options = dict(mid_channels=(8, 16, 24, 40)) if cls is HRFuseScales else {}
    with pytest.raises(ValueError, match=r"`with_cp` \(.*\) must be False, 'norm', 'block' \(or True\) or 'module'"):
        cls(first, with_cp=value, **options)
