"""The operators that mmcv compiles for GPUs only, held to their definitions, and the errors of all others."""

import importlib
import subprocess
import sys
from unittest import mock

import pytest
import torch
from torch import nn

from hrnet_plugins.mmcv_ops import extension
from tests.helpers.processes import environment
from tests.mmcv_ops.cases import normal

GAMMAS = [0.0, 0.5, 2.0]
LABELS = torch.tensor([0, 3, 4, 1, 4, 2])
"""Of four classes; 4 is background."""


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def focal(p, gamma):
    return (1 - p) ** gamma * p.log()


@pytest.mark.parametrize('gamma', GAMMAS)
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_sigmoid_focal_loss(gamma, weighted, dtype):
    x = (3 * normal(0, 6, 4, dtype=torch.float64)).requires_grad_()
    positive = nn.functional.one_hot(LABELS, 5)[:, :4].bool()
    losses = -torch.where(positive, 0.25 * focal(x.sigmoid(), gamma), 0.75 * focal((-x).sigmoid(), gamma))
    weight = torch.tensor([0.5, 2, 3, 1], dtype=torch.float64)
    if weighted:
        losses = losses * torch.cat([weight, torch.ones(1)])[LABELS][:, None]
    (gradient,) = torch.autograd.grad(losses.sum(), x)
    x, weight = x.detach().to(dtype), weight.to(dtype) if weighted else x.new_empty(0, dtype=dtype)
    output, grad_input = torch.zeros_like(x), torch.zeros_like(x)
    extension.sigmoid_focal_loss_forward(x, LABELS, weight, output, gamma=gamma, alpha=0.25)
    extension.sigmoid_focal_loss_backward(x, LABELS, weight, grad_input, gamma=gamma, alpha=0.25)
    assert_close(output, losses.detach().to(dtype))
    assert_close(grad_input, gradient.to(dtype))


@pytest.mark.parametrize('gamma', GAMMAS)
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_softmax_focal_loss(gamma, weighted, dtype):
    x = (3 * normal(1, 6, 4, dtype=torch.float64)).requires_grad_()
    known = LABELS < 4
    p = x.softmax(1).gather(1, LABELS.clamp(max=3)[:, None])[:, 0]
    weight = torch.tensor([0.5, 2, 3, 1], dtype=torch.float64)
    losses = -0.25 * focal(p, gamma) * known * (weight[LABELS.clamp(max=3)] if weighted else 1)
    (gradient,) = torch.autograd.grad(losses.sum(), x)
    probabilities, weight = x.detach().softmax(1).to(dtype), weight.to(dtype) if weighted else x.new_empty(0).to(dtype)
    output, buffer, grad_input = probabilities.new_zeros(6), probabilities.new_zeros(6), torch.zeros_like(probabilities)
    extension.softmax_focal_loss_forward(probabilities, LABELS, weight, output, gamma=gamma, alpha=0.25)
    extension.softmax_focal_loss_backward(probabilities, LABELS, weight, buffer, grad_input, gamma=gamma, alpha=0.25)
    assert_close(output, losses.detach().to(dtype))
    assert_close(grad_input, gradient.to(dtype))


@pytest.mark.parametrize('gamma', GAMMAS)
def test_losses_of_certain_scores_are_finite(gamma):
    x, labels = torch.tensor([[200.0, -200.0], [-200.0, 200.0]]), torch.tensor([0, 0])
    output, gradient = torch.zeros(2, 2), torch.full((2, 2), torch.nan)
    extension.sigmoid_focal_loss_forward(x, labels, x.new_empty(0), output, gamma=gamma, alpha=0.25)
    extension.sigmoid_focal_loss_backward(x, labels, x.new_empty(0), gradient, gamma=gamma, alpha=0.25)
    assert output.isfinite().all() and gradient.isfinite().all()
    output, buffer, p = torch.zeros(2), torch.zeros(2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    extension.softmax_focal_loss_forward(p, labels, x.new_empty(0), output, gamma=gamma, alpha=0.25)
    extension.softmax_focal_loss_backward(p, labels, x.new_empty(0), buffer, gradient, gamma=gamma, alpha=0.25)
    assert output.isfinite().all() and gradient.isfinite().all()


def test_losses_of_nothing():
    x, labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    for name in ('sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward'):
        getattr(extension, name)(x, labels, x.new_empty(0), torch.zeros(0, 4), gamma=2.0, alpha=0.25)


def pool(x, roi, size, scale):
    """RoIPool of one region as mmcv's kernel defines it, bin by bin: the greatest of each, and where it is."""
    x1, y1, x2, y2 = (scale * (side + (i > 1)) for i, side in enumerate(roi.tolist()[1:]))
    best, cells = torch.zeros(len(x), *size), torch.full((len(x), *size), -1)
    for row in range(size[0]):
        for column in range(size[1]):
            top, bottom = (y1 + (y2 - y1) / size[0] * (row + end) for end in (0, 1))
            left, right = (x1 + (x2 - x1) / size[1] * (column + end) for end in (0, 1))
            rows = range(max(0, int(top // 1)), min(x.shape[1], int(-(-bottom // 1))))
            columns = range(max(0, int(left // 1)), min(x.shape[2], int(-(-right // 1))))
            if x2 > x1 and y2 > y1 and rows and columns:
                for c in range(len(x)):
                    cells[c, row, column] = max(
                        (y * x.shape[2] + x_ for y in rows for x_ in columns), key=lambda i, c=c: x[c].flatten()[i]
                    )
                    best[c, row, column] = x[c].flatten()[cells[c, row, column]]
    return best, cells


@pytest.mark.parametrize('scale', [1.0, 0.5, 0.25])
@pytest.mark.parametrize('size', [(1, 1), (2, 3), (7, 7)])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_roi_pool(scale, size, dtype):
    x = normal(2, 2, 3, 9, 11, dtype=dtype).round(decimals=1)  # equal cells: the first wins
    rois = torch.tensor(
        [
            [0, 0, 0, 10, 8],
            [1, 3.5, 2.25, 20, 30],
            [1, 4, 4, 4, 4],
            [0, -9, -9, -3, -4],
            [1, 8, 8, 2, 2],
            [0, 40, 30, 60, 50],
        ],
        dtype=dtype,
    )
    expected = [pool(x[int(roi[0])].float(), roi, size, scale) for roi in rois]
    output, cells = torch.full((6, 3, *size), 7, dtype=dtype), torch.zeros(6, 3, *size, dtype=torch.int)
    extension.roi_pool_forward(x, rois, output, cells, *size, scale)
    assert torch.equal(output.float(), torch.stack([best for best, _ in expected]))
    assert torch.equal(cells, torch.stack([places for _, places in expected]).int())
    grad_output, gradient = normal(3, *output.shape, dtype=dtype), torch.zeros_like(x)
    extension.roi_pool_backward(grad_output, rois, cells, gradient, *size, scale)
    by_hand = torch.zeros_like(x)
    for n, c, row, column in (cells >= 0).nonzero().tolist():
        by_hand[int(rois[n, 0]), c].view(-1)[cells[n, c, row, column]] += grad_output[n, c, row, column]
    assert_close(gradient, by_hand)


def test_roi_pool_of_no_region():
    x = normal(4, 1, 2, 4, 4)
    gradient = torch.zeros_like(x)
    extension.roi_pool_forward(x, torch.zeros(0, 5), x.new_zeros(0, 2, 2, 2), torch.zeros(0, 2, 2, 2).int(), 2, 2, 1.0)
    extension.roi_pool_backward(
        x.new_zeros(0, 2, 2, 2), torch.zeros(0, 5), torch.zeros(0, 2, 2, 2).int(), gradient, 2, 2, 1.0
    )
    assert not gradient.any()


@pytest.mark.parametrize(('kernel', 'padding'), [((3, 3), (1, 1)), ((1, 1), (0, 0)), ((3, 5), (0, 2))])
def test_masked_convolution(kernel, padding):
    x, weight, bias = normal(5, 1, 4, 8, 9), normal(6, 6, 4, *kernel), normal(7, 6)
    full = nn.functional.conv2d(x, weight, bias, padding=padding)
    places = (normal(8, *full.shape[2:]) > 0).nonzero()
    columns, output = x.new_zeros(weight[0].numel(), len(places)), torch.zeros_like(full)
    rows, cols = (each.contiguous() for each in places.T)
    extension.masked_im2col_forward(x, rows, cols, columns, *kernel, *padding)
    result = torch.addmm(bias[:, None], weight.flatten(1), columns)
    extension.masked_col2im_forward(result, rows, cols, output, *full.shape[2:], 6)
    assert_close(output[0, :, rows, cols], full[0, :, rows, cols])
    assert output.count_nonzero() == 6 * len(places), 'nothing elsewhere'


def test_multi_scale_deformable_attention():
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch as theirs  # noqa: PLC0415

    shapes = torch.tensor([[6, 5], [3, 4]])
    value = normal(9, 2, 42, 3, 8).requires_grad_()
    locations = (normal(10, 2, 7, 3, 2, 4, 2) / 2 + 0.5).requires_grad_()
    weights = normal(11, 2, 7, 3, 2, 4).requires_grad_()
    expected = theirs(value, shapes, locations, weights)
    grad_output = normal(12, *expected.shape)
    gradients = torch.autograd.grad(expected, (value, locations, weights), grad_output)
    inputs = (value, shapes, torch.tensor([0, 30]), locations, weights)
    ours = extension.ms_deform_attn_forward(*inputs, im2col_step=64)
    assert not ours.requires_grad
    assert_close(ours, expected.detach())
    found = [torch.zeros_like(each) for each in (value, locations, weights)]
    extension.ms_deform_attn_backward(*inputs, grad_output, *found, im2col_step=64)
    for mine, other in zip(found, gradients, strict=True):
        assert_close(mine.detach(), other)


def test_other_operators_name_themselves_and_the_way_out():
    assert extension.carafe_forward.__name__ == 'carafe_forward'
    with pytest.raises(NotImplementedError, match=r"mmcv's operator carafe_forward .*pip install --no-build-isolation"):
        extension.carafe_forward(1, group=2)
    x = normal(13, 1, 2, 4, 4)
    for direction in ('forward', 'backward'):
        with pytest.raises(NotImplementedError, match="roi_align with pool_mode='max'"):
            getattr(extension, f'roi_align_{direction}')(x, torch.zeros(1, 5), x, x, x, 2, 2, 1.0, 0, 0, True)


def test_is_no_module_with_any_name():
    for name in ('__path__', '__wrapped__', '_private'):
        assert not hasattr(extension, name)
    assert all(callable(getattr(extension, name)) for name in extension.OPERATORS)


def test_without_torchvision_says_so():
    names = [name for name in sys.modules if name.startswith('hrnet_plugins.mmcv_ops')]
    with mock.patch.dict(sys.modules, dict.fromkeys(['torchvision'])):
        for name in names:
            del sys.modules[name]
        with pytest.raises(ImportError, match='torchvision cannot be imported: install the release'):
            importlib.import_module('hrnet_plugins.mmcv_ops.extension')


@pytest.mark.parametrize(('module', 'absent'), [('install', 'torch'), ('extension', 'mmcv')])
def test_imports_no_more_than_it_needs(module, absent):
    code = f'import sys, hrnet_plugins.mmcv_ops.{module}; assert "{absent}" not in sys.modules'
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, env=environment())
