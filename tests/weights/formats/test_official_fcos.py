"""HRNet-FCOS's names, and those of mmdet's FCOS before 2.0."""

import re

import pytest

from hrnet_plugins.weights import convert, recognise
from tests.helpers import frameworks
from tests.helpers.networks import TINY, fill
from tests.helpers.published import assert_same


@pytest.mark.parametrize('levels', [3, 6])
def test_fcos_of_any_shape(levels):
    model = frameworks.fcos(TINY, num_classes=3, channels=32, levels=levels, stride=1, stacked_convs=2)
    state = fill(model).state_dict()
    official, report = convert(state, target='official-fcos')
    assert official[f'rpn.head.scales.{levels - 1}.scale'].shape == (1,)
    assert 'rpn.head.cls_tower.4.bias' in official
    assert len(report.reshaped) == levels
    assert_same(convert(official)[0], state)
    unbiased = {key: value for key, value in state.items() if not re.search(r'(cls|reg)_convs\.\d\.conv\.bias', key)}
    padded, report = convert(unbiased, target='official-fcos')
    assert padded.keys() == official.keys()
    assert sorted(report.added) == sorted(f'rpn.head.{t}_tower.{i}.bias' for t in ('cls', 'bbox') for i in (0, 3))
    v1 = {re.sub(r'conv_(cls|reg|centerness)', r'fcos_\1', key): value for key, value in state.items()}
    assert recognise(v1) == 'mmdet-v1'
    assert_same(convert(v1)[0], state)
