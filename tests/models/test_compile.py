"""``torch.compile``: one graph without breaks, for every size."""

import subprocess
import sys
from functools import partial

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


def kept_by(run, stage, maps):
    """Numbers that a forward keeps for backward, and its gradients."""
    own = {tensor.data_ptr() for tensor in (*stage.parameters(), *stage.buffers())}
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.update({t.data_ptr(): t}) or t, lambda t: t):
        outs = run(maps)
    sum(out.square().mean() for out in outs).backward()
    return sum(t.numel() for address, t in kept.items() if address not in own), dict(stage.named_parameters())


@pytest.mark.parametrize(('with_cp', 'most'), [('block', 0.9), ('module', 0.5), ('norm', 0.7)])
def test_with_cp_holds_in_a_compiled_step(with_cp, most):
    maps = [image((2, c, 32 // 2**i, 24 // 2**i), i) for i, c in enumerate(TINY.channels[:2])]
    stage, plain, eager = (fill(HRNet(TINY, with_cp=option).stage2).train() for option in (with_cp, False, False))
    compiled = partial(torch.compile, fullgraph=True, backend='aot_eager_decomp_partition')
    less, found = kept_by(compiled(stage), stage, maps)
    torch.compiler.reset()
    more, _ = kept_by(compiled(plain), plain, maps)
    assert less < most * more
    _, expected = kept_by(eager, eager, maps)
    for name, value in expected.items():
        assert_equal(found[name].grad, value.grad, 1e-4)
    for name, value in eager.named_buffers():
        assert torch.allclose(stage.get_buffer(name).float(), value.float(), rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize('pooling', ['avg', 'max'])
def test_gradients_of_pooled_levels_at_odd_sizes(pooling):
    neck = fill(HRFPN((4, 8), 16, pooling=pooling)).train()
    compiled = torch.compile(neck, fullgraph=True, dynamic=True, backend='aot_eager')
    for height, width in ((37, 50), (64, 33), (9, 40)):
        gradients = []
        for run in (compiled, neck):
            maps = [
                image((2, c, -(-height // 2**i), -(-width // 2**i)), i).requires_grad_() for i, c in enumerate((4, 8))
            ]
            sum((out.square() * (i + 1)).mean() for i, out in enumerate(run(maps))).backward()
            gradients.append([x.grad for x in maps])
        for ours, theirs in zip(*gradients, strict=True):
            assert_equal(ours, theirs)


STEPS = """
import torch
from hrnet_plugins.models import HRFPN
torch.set_num_threads(2)
neck = HRFPN((18, 36, 72, 144))
maps = [torch.randn(2, c, 64 // 2**i, 64 // 2**i, requires_grad=True) for i, c in enumerate((18, 36, 72, 144))]
neck.compile(dynamic=False)
for _ in range(6):
    sum(out.square().mean() for out in neck(maps)).backward()
print('fine')
"""


@pytest.mark.slow
def test_inductor_keeps_to_its_memory_on_two_threads():
    """PyTorch 2.11 writes beside its arrays in the backward of `unfold`, which then ends the process."""
    done = subprocess.run([sys.executable, '-c', STEPS], capture_output=True, text=True, check=False, timeout=600)
    assert 'fine' in done.stdout, done.stderr[-500:]
