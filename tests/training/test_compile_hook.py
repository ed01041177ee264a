"""Compiled residual blocks: the same losses for changing sizes, and weights under their names."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS
from torch import nn

from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image

# dynamo's own
pytestmark = pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning')


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=8):
        yield
    torch.compiler.reset()


def mark(model, **options):
    hook = HOOKS.build(dict(type='hrnet_plugins.CompileHook', **options))
    hook.before_train(SimpleNamespace(model=model, logger='silent'))


@pytest.mark.parametrize(
    'options', [{}, dict(norm_eval=True), dict(with_cp='block'), dict(with_cp='module', channels_last=True)], ids=str
)
def test_gradients_of_changing_sizes(options):
    plain = fill(HRNet(TINY, **options)).train()
    compiled = copy.deepcopy(plain)
    mark(compiled, backend='aot_eager')
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for size in ((64, 64), (96, 64), (33, 97)):
        for model in (plain, compiled):
            model.zero_grad()
            sum(out.square().mean() for out in model(image((2, 3, *size)))).backward()
        assert_equal(compiled.conv1.weight.grad, plain.conv1.weight.grad, 1e-4)
    for name, value in plain.named_buffers():
        assert torch.allclose(compiled.get_buffer(name).float(), value.float(), rtol=1e-4, atol=1e-6), name


def test_no_block_is_left_out_of_a_run_that_validates_and_has_amp():
    """Torch gives up a function that it has compiled eight times, and W18 has blocks of six kinds."""
    model = fill(HRNet('w18', frozen_stages=1))
    mark(model, backend='eager')
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for size in ((64, 64), (96, 64), (33, 97)):
            for training, dtype in ((True, None), (True, torch.bfloat16), (False, None)):
                model.train(training)
                with torch.set_grad_enabled(training), torch.autocast('cpu', dtype, enabled=dtype is not None):
                    outs = model(image((2, 3, *size)))
                if training:
                    sum(out.float().square().mean() for out in outs).backward()


@pytest.mark.parametrize('first', [(64, 96), (96, 96)], ids=['oblong', 'square'])
def test_after_the_second_size_nothing_is_compiled_again(first):
    model = fill(HRNet(TINY)).train()
    compiled = []
    mark(model, backend=lambda graph, inputs: compiled.append(graph) or graph.forward)
    counts = []
    for size in (first, (128, 96), (96, 96), (160, 128), (97, 133)):
        model(image((3, 3, *size)))
        counts.append(len(compiled))
    assert 0 < counts[0] <= counts[1] < 2 * counts[0]
    assert set(counts[2:]) == {counts[1]}


def test_what_follows_convolutions_is_refused():
    for model in (HRNet(TINY, with_cp='norm'), nn.Sequential(HRFuseScales(TINY.channels, with_cp='norm'))):
        with pytest.raises(ValueError, match="CompileHook and with_cp='norm' exclude each other"):
            mark(model)
    mark(nn.Sequential(HRNet(TINY), HRFPN(TINY.channels, 16, with_cp='norm')))  # a neck without blocks
