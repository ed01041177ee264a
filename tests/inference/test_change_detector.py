"""An accelerated model is never out of date: every change of the plain one is noticed."""

import pytest
import torch
from torch import nn

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.change_detector import ChangeDetector
from hrnet_plugins.models import HRNet
from tests.helpers.accelerated import assert_same, built
from tests.helpers.networks import TINY, fill, image


def changed(change, plain):
    """Outputs before and after a change of the model, both as the fast view gives them."""
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    change(plain, fast)
    assert_same(fast, plain, x)
    return before, fast(x)[0]


@torch.no_grad()
def _scale_in_place(plain, fast):
    plain.conv1.weight.mul_(2)


def _load(plain, fast):
    plain.load_state_dict(
        fill(HRNet(TINY, norm_cfg=dict(type='BN', eps=1e-3))).state_dict() | {'bn1.bias': torch.ones(64)}
    )


def _load_into_the_view(plain, fast):
    fast.load_state_dict(plain.state_dict() | {'bn1.running_mean': torch.ones(64)})


def _assign(plain, fast):
    state = {key: value.clone() * 2 for key, value in plain.state_dict().items()}
    plain.load_state_dict(state, assign=True)


def _exchange_a_parameter(plain, fast):
    plain.conv2.weight = nn.Parameter(plain.conv2.weight.detach() * 2)


def _exchange_a_module(plain, fast):
    plain.layer1 = nn.Sequential(plain.layer1, nn.Softplus())


def _step(plain, fast):
    fast.train()
    optimizer = torch.optim.SGD(fast.parameters(), lr=0.1)
    fast(image((2, 3, 64, 64)))[0].mean().backward()
    optimizer.step()
    fast.eval()


def _through_data(plain, fast):
    """As mmengine's EMAHook does, between training and evaluation."""
    fast.train()
    plain.conv1.weight.data.mul_(2)
    fast.eval()


@pytest.mark.parametrize(
    'change',
    [
        _scale_in_place,
        _load,
        _load_into_the_view,
        _assign,
        _exchange_a_parameter,
        _exchange_a_module,
        _step,
        _through_data,
    ],
)
def test_never_stale(change):
    before, after = changed(change, built('tiny'))
    assert not torch.equal(before, after), 'the change matters'


def test_a_buffer_that_is_added_is_a_change():
    plain = built('tiny')
    detector = ChangeDetector(plain)
    assert not detector.changed()
    plain.register_buffer('extra', torch.zeros(1))
    assert detector.changed()
