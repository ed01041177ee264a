"""The architecture in a state dict."""

import pytest
import torch

from hrnet_plugins import ARCHS, HRNetArch
from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import arch_of
from tests.helpers.networks import TINY
from tests.helpers.published import CUSTOM


@pytest.mark.parametrize('arch', [*ARCHS, TINY, CUSTOM], ids=[*ARCHS, 'tiny', 'custom'])
def test_arch_of(arch):
    with torch.device('meta'):
        state = HRNet(arch).state_dict()
    assert arch_of(state) == HRNetArch.of(arch)
    assert arch_of({f'x.backbone.{key}': value for key, value in state.items()}) == HRNetArch.of(arch)
