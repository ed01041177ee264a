"""PaddleClas's names."""

import re

import pytest
import torch

from hrnet_plugins import HRNetArch
from hrnet_plugins.weights import arch_of, check_against, convert, recognise
from tests.helpers import frameworks
from tests.helpers.published import paddle_names


@pytest.mark.parametrize('width', [18, 60])
def test_paddle(width):
    keys = paddle_names(width)
    state = {key: torch.full((), float(i)).expand(shape) for i, (key, shape) in enumerate(keys.items())}
    assert recognise(state) == 'paddle'
    converted, report = convert(state)
    assert report.reshaped == ('head.fc.weight',)
    assert arch_of(converted) == HRNetArch.from_width(width)
    with torch.device('meta'):
        model = frameworks.classifier(HRNetArch.from_width(width))
    check_against(converted, model)
    assert float(converted['backbone.bn1.running_var'].flatten()[0]) == list(keys).index(
        'conv_layer1_1._batch_norm._variance'
    )
    extra = 'st2.stage_func_list.0.basic_block_list.0.0.se.squeeze.weight'
    with pytest.raises(ValueError, match=rf'unknown keys \(1\): {re.escape(extra)}'):
        convert({**state, extra: torch.zeros(1)})
    lost = 'st4.stage_func_list.2.fuse_func.residual_func_list.5._batch_norm._mean'
    with pytest.raises(ValueError, match=rf'missing keys \(1\): {re.escape(lost)}'):
        convert({key: value for key, value in state.items() if key != lost})
