"""Files that have OpenMMLab's names already, and bare backbones."""

import re

import pytest
import torch

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import convert
from tests.helpers import frameworks
from tests.helpers.networks import TINY, fill
from tests.helpers.published import CUSTOM, assert_same


@pytest.mark.parametrize(
    'options',
    [{}, dict(multiscale_output=False), dict(in_channels=5), dict(norm_cfg=dict(type='GN', num_groups=2))],
    ids=str,
)
@pytest.mark.parametrize('arch', [TINY, CUSTOM], ids=['tiny', 'custom'])
def test_bare_backbones_gain_their_prefix(arch, options):
    state = fill(HRNet(arch, **options)).state_dict()
    converted, report = convert(state)
    assert report.source == 'openmmlab'
    assert_same(converted, {f'backbone.{key}': value for key, value in state.items()})
    for lost in list(state)[::29]:
        if lost.endswith('num_batches_tracked'):
            continue
        with pytest.raises(ValueError, match=rf'missing keys \(1\): {re.escape(lost)}'):
            convert({key: value for key, value in state.items() if key != lost})


def test_mmpretrain_files_stay_as_they_are():
    state = fill(frameworks.classifier(TINY, mid_channels=(8, 16, 24, 40), out_channels=24, num_classes=5)).state_dict()
    converted, report = convert({**state, 'data_preprocessor.mean': torch.zeros(3)})
    assert_same(converted, state)
    assert (report.renamed, report.dropped) == ((), ('data_preprocessor.mean',))
