"""Our backbone and neck against the installed frameworks' and timm's, with the same weights."""

from __future__ import annotations

import importlib

import pytest
import timm
import torch
from torch import nn

from hrnet_plugins import ARCHS
from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.networks import TINY, assert_equal, extra_of, fill, image

UPSAMPLE = {
    'mmdet': dict(upsample='nearest'),
    'mmseg': dict(upsample='bilinear', align_corners=False),
    'mmpretrain': dict(upsample='nearest'),
}
TIMM = {'w18': 'hrnet_w18', 'w32': 'hrnet_w32', 'w18_small_v1': 'hrnet_w18_small', 'w18_small_v2': 'hrnet_w18_small_v2'}


def upstream(framework: str, name: str = 'HRNet') -> type[nn.Module]:
    return getattr(importlib.import_module(f'{framework}.models'), name)


def gradients(module: nn.Module, outs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    module.zero_grad()
    weights = [image(tuple(out.shape), seed=i) for i, out in enumerate(outs, start=1)]
    sum((out * w).sum() for out, w in zip(outs, weights)).backward()
    return {name: p.grad for name, p in module.named_parameters()}


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('arch', [TINY, ARCHS['w18']], ids=['tiny', 'w18'])
@pytest.mark.parametrize('framework', UPSAMPLE)
def test_hrnet_equals_frameworks(framework, arch, training):
    theirs = fill(upstream(framework)(extra=extra_of(arch), norm_eval=False))
    ours = HRNet(arch, **UPSAMPLE[framework])
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    theirs.train(training)
    ours.train(training)
    x = image((2, 3, 64, 96))
    a, b = ours(x), theirs(x)
    for out, expected in zip(a, b, strict=True):
        assert_equal(out, expected)
    grads, expected = gradients(ours, a), gradients(theirs, b)
    scale = max(g.abs().max() for g in expected.values())
    for name, grad in expected.items():
        assert (grads[name] - grad).abs().max() <= 1e-5 * max(grad.abs().max(), 1e-2 * scale), name
    if training:
        for name, buffer in theirs.named_buffers():
            assert torch.allclose(ours.get_buffer(name), buffer, rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize('options', [{}, dict(num_outs=6, stride=2), dict(pooling='max')], ids=str)
def test_hrfpn_equals_mmdet(options):
    channels = [4, 8, 16, 32]
    renamed = {'pooling_type' if k == 'pooling' else k: v.upper() if k == 'pooling' else v for k, v in options.items()}
    theirs = fill(upstream('mmdet', 'HRFPN')(channels, 16, **renamed))
    ours = HRFPN(channels, 16, **options)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    feats = [image((2, c, 48 >> i, 64 >> i), seed=i) for i, c in enumerate(channels)]
    a, b = ours(feats), theirs(feats)
    for out, expected in zip(a, b, strict=True):
        assert_equal(out, expected)
    grads, expected = gradients(ours, a), gradients(theirs, b)
    for name, grad in expected.items():
        assert_equal(grads[name], grad)


@pytest.mark.parametrize('arch', TIMM)
def test_hrnet_equals_timm(arch):
    theirs = fill(timm.create_model(TIMM[arch], pretrained=False)).eval()
    ours = HRNet(arch).eval()
    head = ('incre_modules.', 'downsamp_modules.', 'final_layer.', 'classifier.')
    backbone = {k: v for k, v in theirs.state_dict().items() if not k.startswith(head)}
    ours.load_state_dict(backbone)
    x = image((1, 3, 64, 96))
    with torch.inference_mode():
        stem = theirs.act2(theirs.bn2(theirs.conv2(theirs.act1(theirs.bn1(theirs.conv1(x))))))
        for out, expected in zip(ours(x), theirs.stages(stem), strict=True):
            assert_equal(out, expected)
