"""Resizing is torch's, with a backward in the layout in which that is quick."""

import copy
import time

import pytest
import torch
import torch.nn.functional as F

from hrnet_plugins import HRNet
from hrnet_plugins.models.resizing import resize
from tests.helpers.networks import TINY, assert_equal, fill, image

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels-last': torch.channels_last}


def is_ours(out):
    return '_Bilinear' in type(out.grad_fn).__name__


@pytest.mark.parametrize('of_gradient', LAYOUTS)
@pytest.mark.parametrize('of_map', LAYOUTS)
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(12, 16), (13, 11), (3, 5), (1, 1), (6, 8)])
def test_outputs_and_gradients_are_torch_s(size, align_corners, of_map, of_gradient):
    x = image((2, 5, 6, 8)).double().contiguous(memory_format=LAYOUTS[of_map]).requires_grad_()
    out = resize(x, size, align_corners=align_corners)
    expected = F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)
    assert is_ours(out)
    assert torch.equal(out, expected)
    upstream = image(out.shape, 1).double().contiguous(memory_format=LAYOUTS[of_gradient])
    (grad,), (theirs,) = (torch.autograd.grad(y, x, upstream) for y in (out, expected))
    assert_equal(grad, theirs, 1e-12)
    assert grad.stride() == x.stride()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_precisions(dtype):
    x = image((2, 5, 6, 8)).to(dtype).requires_grad_()
    (grad,) = torch.autograd.grad(resize(x, (12, 16)).float().square().sum(), x)
    (theirs,) = torch.autograd.grad(F.interpolate(x, size=(12, 16), mode='bilinear').float().square().sum(), x)
    assert grad.dtype == dtype
    assert_equal(grad.double(), theirs.double(), 1e-5 if dtype == torch.float32 else 2e-2)


def test_gradients_of_gradients():
    x = image((2, 5, 3, 4)).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: resize(x, (6, 7)), x)


def test_functional_transforms():
    x = image((3, 2, 5, 3, 4))
    found = torch.func.vmap(torch.func.grad(lambda x: resize(x, (6, 8)).square().sum()))(x)
    for one, grad in zip(x, found):
        assert_equal(grad, torch.func.grad(lambda x: F.interpolate(x, (6, 8), mode='bilinear').square().sum())(one))


def test_what_is_left_to_torch():
    learning, fixed = image((1, 5, 6, 8)).requires_grad_(), image((1, 5, 6, 8))
    assert not is_ours(resize(learning, (12, 16), mode='nearest', align_corners=None))
    assert not is_ours(resize(image((1, 2, 6, 8)).requires_grad_(), (12, 16)))
    assert not resize(fixed, (12, 16)).requires_grad
    with torch.no_grad():
        assert not resize(learning, (12, 16)).requires_grad
    traced = torch.jit.trace(lambda x: resize(x, (12, 16)), learning, check_trace=False)
    assert 'upsample_bilinear2d' in str(traced.graph)


def test_a_network_with_bilinear_resizing_learns_the_same(monkeypatch):
    model = fill(HRNet(TINY, upsample='bilinear', align_corners=True)).train()
    other = copy.deepcopy(model)
    sum(out.square().mean() for out in model(image((2, 3, 65, 97)))).backward()
    monkeypatch.setattr('hrnet_plugins.models.hr_module.resize', F.interpolate)
    sum(out.square().mean() for out in other(image((2, 3, 65, 97)))).backward()
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters()):
        assert (ours.grad - theirs.grad).norm() <= 1e-4 * theirs.grad.norm() + 1e-7, name


@pytest.mark.slow
def test_it_is_worth_it():
    """When this fails PyTorch's own backward has become quick for contiguous gradients, and ours can go."""
    x = image((2, 36, 32, 32)).requires_grad_()
    upstream = image((2, 36, 128, 128))
    least = {}
    for _ in range(5):
        for name, run in (('ours', resize), ('torch', lambda x, size: F.interpolate(x, size, mode='bilinear'))):
            out = run(x, (128, 128))
            before = time.process_time()
            out.backward(upstream)
            least[name] = min(least.get(name, 1e9), time.process_time() - before)
    assert least['ours'] < least['torch'] / 1.5
