"""mmcv's own functions and layers with our operators, beside the same with its compiled ones."""

import importlib
from contextlib import nullcontext

import pytest
import torch

from hrnet_plugins.mmcv_ops import extension
from tests.mmcv_ops.cases import boxes, compiled, normal, ours, scores


def gradients(output, *inputs):
    return [output.detach(), *torch.autograd.grad(output, inputs, normal(99, *output.shape).to(output))]


def nms(**options):
    from mmcv.ops import batched_nms  # noqa: PLC0415

    labels = torch.arange(200) % 3
    return batched_nms(boxes(1, 200, step=2.0), scores(2, 200, levels=50), labels, options)


def nms_with_scores():
    from mmcv.ops import nms  # noqa: PLC0415

    return nms(boxes(1, 200), scores(2, 200), iou_threshold=0.3, score_threshold=0.4, max_num=7, offset=1)


def roi_align(**options):
    from mmcv.ops import RoIAlign  # noqa: PLC0415

    x = normal(3, 2, 4, 20, 24).requires_grad_()
    rois = torch.cat([(torch.arange(30) % 2)[:, None], boxes(4, 30)], 1)
    return gradients(RoIAlign((7, 5), spatial_scale=0.25, **options)(x, rois), x)


def masks():
    from mmdet.structures.mask import BitmapMasks  # noqa: PLC0415

    found = BitmapMasks((normal(5, 6, 40, 50) > 0).numpy(), 40, 50)
    cropped = found.crop_and_resize(boxes(6, 9).clamp(min=0).numpy(), (14, 14), torch.arange(9).numpy() % 6)
    return [torch.from_numpy(cropped.masks.astype('uint8'))]


def deform_conv(kind, **options):
    layer = getattr(importlib.import_module('mmcv.ops'), kind)
    torch.manual_seed(0)
    layer = layer(4, 6, 3, padding=1, deform_groups=2, **options)
    x = normal(7, 2, 4, 9, 8).requires_grad_()
    points = normal(8, 2, 2 * 9 * 2, 9, 8).requires_grad_()
    mask = normal(9, 2, 2 * 9, 9, 8).sigmoid().requires_grad_()
    inputs = (x, points) if kind == 'DeformConv2d' else (x, points, mask)
    return gradients(layer(*inputs), *inputs, *layer.parameters())


def packed(kind):
    """With the layer's own offsets, which are zero at the start."""
    torch.manual_seed(0)
    layer = getattr(importlib.import_module('mmcv.ops'), kind)(4, 6, 3, padding=1)
    x = normal(10, 2, 4, 9, 8).requires_grad_()
    return gradients(layer(x), x, *layer.parameters())


CASES = {
    'batched_nms': lambda: nms(type='nms', iou_threshold=0.5),
    'batched_nms, one class': lambda: nms(type='nms', iou_threshold=0.3, class_agnostic=True),
    'batched_nms, split': lambda: nms(type='nms', iou_threshold=0.5, split_thr=50, max_num=20),
    'batched_nms, soft': lambda: nms(type='soft_nms', iou_threshold=0.5, method='linear', min_score=0.05),
    'nms': nms_with_scores,
    'RoIAlign': roi_align,
    'RoIAlign, not aligned': lambda: roi_align(aligned=False, sampling_ratio=2),
    'masks of a detector': masks,
    'DeformConv2d': lambda: deform_conv('DeformConv2d', groups=2),
    'ModulatedDeformConv2d': lambda: deform_conv('ModulatedDeformConv2d'),
    'DeformConv2dPack': lambda: packed('DeformConv2dPack'),
    'ModulatedDeformConv2dPack': lambda: packed('ModulatedDeformConv2dPack'),
}


@pytest.mark.skipif(compiled() is None, reason='mmcv is not compiled here')
@pytest.mark.parametrize('name', CASES)
def test_functions_of_mmcv(name):
    results = []
    for operators in (ours(), nullcontext()):
        with operators:
            results.append(CASES[name]())
    for mine, theirs in zip(*results, strict=True):
        assert mine.shape == theirs.shape
        if mine.is_floating_point():
            assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
        else:
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize('kind', ['sigmoid', 'softmax'])
def test_focal_losses_that_mmcv_has_for_gpus_only(kind):
    module = importlib.import_module('mmcv.ops.focal_loss')
    loss = getattr(module, f'{kind}_focal_loss')
    x, labels = normal(11, 8, 5, dtype=torch.float64).requires_grad_(), torch.tensor([0, 1, 2, 3, 4, 0, 5, 5])
    with ours():
        assert torch.autograd.gradcheck(lambda x: loss(x, labels, 2.0, 0.25, None, 'sum'), x)


@pytest.mark.filterwarnings('ignore:This overload of addmm is deprecated')  # mmcv's call
def test_masked_and_pooling_layers_that_mmcv_has_for_gpus_only():
    from mmcv.ops import MaskedConv2d, RoIPool  # noqa: PLC0415

    with ours():
        layer, x = MaskedConv2d(4, 6, 3, padding=1), normal(12, 1, 4, 8, 9)
        mask = (normal(13, 1, 8, 9) > 0).float()
        assert torch.allclose(layer(x, mask), layer(x) * mask, atol=1e-6)
        x.requires_grad_()
        pooled = RoIPool(2, 0.5)(x, torch.tensor([[0, 0, 0, 15, 15.0]]))
        assert torch.equal(pooled[0, :, 0, 0], x[0, :, :4, :4].flatten(1).amax(1))
        pooled.sum().backward()
        assert x.grad.sum() == pooled.numel()


def test_error_reaches_the_user_of_mmcv():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module('mmcv.ops.carafe'), 'ext_module', extension)
        from mmcv.ops import CARAFE  # noqa: PLC0415

        with pytest.raises(NotImplementedError, match="mmcv's operator carafe_forward is not among"):
            CARAFE(3, 1, 2)(normal(14, 1, 4, 4, 4), normal(15, 1, 9, 8, 8))
