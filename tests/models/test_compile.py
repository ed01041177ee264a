"""``torch.compile``: one graph without breaks, for every size."""

import pytest
import torch
from torch import nn

from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image

SHAPES = ((2, 3, 128, 160), (3, 3, 192, 128), (4, 3, 201, 133))
"""A usual size, another shape, an odd one.

Cases of their own are, by torch's rules, a batch of one, maps of one cell, and from 16 images on another convolution.
"""


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def network(*, neck: bool) -> nn.Module:
    backbone = HRNet(TINY)
    return fill(nn.Sequential(backbone, HRFPN(backbone.out_channels, 16)) if neck else backbone).eval()


@pytest.mark.parametrize(
    ('backend', 'neck'),
    [
        ('eager', True),
        pytest.param('aot_eager', False, marks=pytest.mark.slow),
        pytest.param('inductor', True, marks=pytest.mark.slow),
    ],
)
def test_one_graph_serves_every_size(backend, neck):
    model = network(neck=neck)
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend=backend)  # fullgraph: a break is an error
    with torch.no_grad():
        for i, shape in enumerate(SHAPES):
            x = image(shape)
            with torch.compiler.set_stance('fail_on_recompile' if i else 'default'):
                outs = compiled(x)
            for a, b in zip(outs, model(x), strict=True):
                assert_equal(a, b)


def test_a_training_step_is_one_graph():
    model = network(neck=True).train()
    x = image((2, 3, 64, 96))
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    gradients = []
    for run in (compiled, model):
        fill(model)  # the statistics that the step before changed
        model.zero_grad()
        sum(out.square().mean() for out in run(x)).backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    ours, theirs = gradients
    assert ours.keys() == theirs.keys()
    for name in ('0.conv1.weight', '0.stage4.0.fuse_layers.3.0.0.0.weight', '1.fpn_convs.4.conv.weight'):
        assert_equal(ours[name], theirs[name], 1e-4)
