"""Compiled residual blocks: the same losses for changing sizes, and weights under their names."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS

from hrnet_plugins.models import HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image


@pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning')  # dynamo's own
@pytest.mark.parametrize('options', [{}, dict(norm_eval=True), dict(with_cp='norm')], ids=str)
def test_gradients_of_changing_sizes(options):
    torch.compiler.reset()
    plain = fill(HRNet(TINY, **options)).train()
    compiled = copy.deepcopy(plain)
    hook = HOOKS.build(dict(type='hrnet_plugins.CompileHook', backend='aot_eager'))
    hook.before_train(SimpleNamespace(model=compiled, logger='current'))
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for size in ((64, 64), (96, 64), (33, 97)):
        for model in (plain, compiled):
            model.zero_grad()
            sum(out.square().mean() for out in model(image((2, 3, *size)))).backward()
        assert_equal(compiled.conv1.weight.grad, plain.conv1.weight.grad, 1e-4)
    for name, value in plain.named_buffers():
        assert torch.allclose(compiled.get_buffer(name).float(), value.float(), rtol=1e-4, atol=1e-6), name
    torch.compiler.reset()
