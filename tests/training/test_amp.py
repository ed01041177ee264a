"""Mixed precision on CPUs."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from hrnet_plugins.training import CPUAmpOptimWrapper
from hrnet_plugins.training.amp import stand_in_without_gpu


def wrapper(model, **options):
    return CPUAmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **options)


def test_a_step_computes_in_bfloat16_and_learns_in_float32():
    model = nn.Linear(4, 2)
    before = model.weight.clone()
    optimizer = wrapper(model, loss_scale='dynamic', dtype='bfloat16')
    with optimizer.optim_context(model):
        out = model(torch.ones(3, 4))
    assert out.dtype == torch.bfloat16
    optimizer.update_params(out.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)


def test_a_state_of_a_gpu_loads():
    model = nn.Linear(4, 2)
    optimizer = wrapper(model)
    optimizer.load_state_dict({**optimizer.state_dict(), 'loss_scaler': dict(scale=65536.0)})


@pytest.mark.parametrize('dtype', ['float16', torch.float16, 'float32'])
def test_other_precisions_are_refused(dtype):
    with pytest.raises(ValueError, match=r"`dtype` \(.*\) of mixed precision on a CPU must be 'bfloat16'"):
        wrapper(nn.Linear(4, 2), dtype=dtype)


@pytest.mark.parametrize('gpu', [False, True])
def test_it_stands_in_where_there_is_no_gpu(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    monkeypatch.setattr(OPTIM_WRAPPERS, '_module_dict', dict(OPTIM_WRAPPERS.module_dict))
    stand_in_without_gpu()
    assert (OPTIM_WRAPPERS.get('AmpOptimWrapper') is CPUAmpOptimWrapper) == (not gpu)
