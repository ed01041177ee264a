"""Batch norms of channels-last maps in groups of pixels: what torch's own give, statistics too, and sooner."""

import copy
import time

import pytest
import torch
from torch import nn

from hrnet_plugins import ARCHS, HRNet
from hrnet_plugins.models import batch_norm as module
from hrnet_plugins.models.batch_norm import LANES, batch_norm
from hrnet_plugins.models.conv_norm import conv_norm
from tests.helpers.networks import TINY, assert_equal, fill, image

WIDTHS = sorted(
    {channels for arch in ARCHS.values() for stage in arch.stages for channels in stage.channels if channels % LANES}
)
NORMS = {
    'plain': {},
    'without affine': dict(affine=False),
    'without running statistics': dict(track_running_stats=False),
    'averaged over all batches': dict(momentum=None),
    'another eps': dict(eps=0.1, momentum=0.5),
}


@pytest.fixture(autouse=True)
def _small_maps_too(monkeypatch):
    monkeypatch.setattr(module, 'LEAST', 0)


def channels_last(shape, seed=0):
    return (3 * image(shape, seed) + 1).contiguous(memory_format=torch.channels_last)


def is_grouped(out):
    return 'GroupedNorm' in type(out.grad_fn).__name__


def step(run, norm, x):
    """Output, gradients, and the norm's state after two batches."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    for batch in (x.detach() - 1, x):
        out = run(norm, batch)
    upstream = channels_last(out.shape, seed=1)
    return out, torch.autograd.grad(out, [x, *norm.parameters()], upstream), dict(norm.state_dict())


def same(norm, x):
    """Check that both ways are the same; the output of ours."""
    ours = step(batch_norm, copy.deepcopy(norm), x)
    theirs = step(lambda norm, x: norm(x), norm, x)
    for found, expected in zip((ours[0], *ours[1], *ours[2].values()), (theirs[0], *theirs[1], *theirs[2].values())):
        assert found.stride() == expected.stride()
        assert found.dtype == expected.dtype
        assert_equal(found.double(), expected.double(), 1e-5)
    return ours[0]


@pytest.mark.parametrize('channels', [*WIDTHS, 2, 7])
def test_widths(channels):
    assert is_grouped(same(fill(nn.BatchNorm2d(channels)), channels_last((2, channels, 8, 12))))


@pytest.mark.parametrize('options', NORMS.values(), ids=NORMS)
def test_norms(options):
    assert is_grouped(same(fill(nn.BatchNorm2d(18, **options)), channels_last((2, 18, 10, 6))))


def test_a_mean_far_from_zero_costs_no_more_digits_than_torch_s():
    x = channels_last((2, 18, 16, 16)).double() + 100
    exact = nn.BatchNorm2d(18).double()(x)
    errors = [(run(x.float()).double() - exact).abs().max() for run in
              (nn.BatchNorm2d(18), lambda x: batch_norm(nn.BatchNorm2d(18), x))]  # fmt: skip
    assert errors[1] <= 2 * errors[0]


@pytest.mark.parametrize(('norm', 'x'), [
    (nn.BatchNorm2d(18), channels_last((1, 18, 3, 5))),  # pixels that make no whole groups
    (nn.BatchNorm2d(18), image((2, 18, 8, 8))),
    (nn.BatchNorm2d(16), channels_last((2, 16, 8, 8))),
    (nn.BatchNorm2d(18).eval(), channels_last((2, 18, 8, 8))),
    (nn.BatchNorm2d(18).double(), channels_last((2, 18, 8, 8)).double()),
    (nn.GroupNorm(2, 18), channels_last((2, 18, 8, 8))),
    (nn.Identity(), channels_last((2, 18, 8, 8))),
], ids=['odd size', 'contiguous', 'whole registers', 'fixed', 'float64', 'group norm', 'none'])  # fmt: skip
def test_what_is_left_to_torch(norm, x):
    out = batch_norm(norm, x.requires_grad_())
    assert not is_grouped(out)
    assert torch.equal(out, norm(x))


def test_small_maps_are_left_to_torch(monkeypatch):
    monkeypatch.undo()
    assert not is_grouped(batch_norm(nn.BatchNorm2d(18), channels_last((2, 18, 8, 8)).requires_grad_()))


def test_gradients_of_gradients():
    norm, x = fill(nn.BatchNorm2d(18)), channels_last((2, 18, 4, 4))
    found = []
    for run in (batch_norm, lambda norm, x: norm(x)):
        x = x.detach().requires_grad_()
        (grad,) = torch.autograd.grad(run(norm, x).pow(3).mean(), x, create_graph=True)
        found.append(torch.autograd.grad(grad.square().sum(), [x, norm.weight]))  # the bias has none
    for ours, theirs in zip(*found):
        assert_equal(ours, theirs, 1e-4)


def test_one_pixel_has_torch_s_error():
    with pytest.raises(ValueError, match='more than 1 value per channel'):
        batch_norm(nn.BatchNorm2d(18), channels_last((1, 18, 1, 1)))


@pytest.mark.parametrize('change', ['nothing', 'a hook', 'efficient_conv_bn_eval'])
def test_in_the_network_unless_somebody_listens(change):
    conv, norm = nn.Conv2d(4, 18, 1), nn.BatchNorm2d(18)
    seen = []
    if change == 'a hook':
        norm.register_forward_hook(lambda *_: seen.append(1))
    out = conv_norm(conv, norm, channels_last((2, 4, 8, 8)), efficient=change != 'efficient_conv_bn_eval')
    assert is_grouped(out) == (change == 'nothing')
    assert bool(seen) == (change == 'a hook')


@pytest.mark.parametrize('with_cp', [False, 'norm', 'block', 'module'])
def test_a_network_learns_the_same(with_cp, monkeypatch):
    """With what backward computes again, too: statistics see each batch once."""
    grouped, found = [], []
    counted = module._count
    monkeypatch.setattr(module, '_count', lambda norm, *seen: (grouped.append(norm), counted(norm, *seen)))
    for efficient in (True, False):
        model = fill(HRNet(TINY, channels_last=True, with_cp=with_cp, efficient_conv_bn_eval=efficient)).train()
        loss = sum(out.square().mean() for out in model(image((2, 3, 64, 64))))
        loss.backward()
        found.append((loss, {k: v.clone() for k, v in model.state_dict().items()}, model))
    (ours, state, model), (theirs, expected, plain) = found
    assert len(set(grouped)) > 10
    assert set(grouped) <= set(model.modules())
    assert_equal(ours, theirs, 1e-5)
    for key, value in state.items():
        assert_equal(value.double(), expected[key].double(), 1e-4)
    for (name, found), other in zip(model.named_parameters(), plain.parameters()):
        assert (found.grad - other.grad).norm() <= 1e-3 * other.grad.norm() + 1e-6, name


@pytest.mark.slow
def test_it_is_worth_it():
    """When this fails PyTorch's own kernels have become quick, and the module can go."""
    norm, x = nn.BatchNorm2d(18), channels_last((2, 18, 128, 128)).requires_grad_()
    least = {}
    for _ in range(5):
        for name, run in (('ours', batch_norm), ('torch', lambda norm, x: norm(x))):
            before = time.process_time()
            run(norm, x).backward(x)
            least[name] = min(least.get(name, 1e9), time.process_time() - before)
    assert least['ours'] < least['torch'] / 1.5
