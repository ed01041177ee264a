"""PaddleClas's names, by release."""

import re

import pytest
import torch

from hrnet_plugins import HRNetArch
from hrnet_plugins.weights import arch_of, check_against, convert, recognise
from tests.helpers import frameworks
from tests.helpers.published import PADDLE_RELEASES, paddle_names

FORMAT = {'2.2': 'paddle', '2.0': 'paddle-2.0'}
NORM = {'2.2': 'bn', '2.0': '_batch_norm'}
EXCHANGE = {
    '2.2': 'st4.stage_func_list.2.fuse_func.residual_func_list.5',
    '2.0': 'st4.stage_st4_3.fuse_func.residual_st4_3_layer_2_4',
}


def numbered(keys):
    """Each entry filled with its place, so that what lands where can be told."""
    return {key: torch.full((), float(i)).expand(shape) for i, (key, shape) in enumerate(keys.items())}


@pytest.mark.parametrize('width', [18])
@pytest.mark.parametrize('release', PADDLE_RELEASES)
def test_paddle(release, width):
    keys = paddle_names(width, release)
    state = numbered(keys)
    assert recognise(state) == FORMAT[release]
    converted, report = convert(state)
    assert report.reshaped == ('head.fc.weight',)
    assert arch_of(converted) == HRNetArch.from_width(width)
    with torch.device('meta'):
        model = frameworks.classifier(HRNetArch.from_width(width))
    check_against(converted, model)
    norm = NORM[release]
    pairs = {
        f'conv_layer1_1.{norm}._variance': 'backbone.bn1.running_var',
        f'{EXCHANGE[release]}.{norm}._mean': 'backbone.stage4.2.fuse_layers.1.3.1.running_mean',
    }
    for source, target in pairs.items():
        assert float(converted[target].flatten()[0]) == list(keys).index(source), target
    extra = 'st2.stage_func_list.0.basic_block_list.0.0.se.squeeze.weight'
    with pytest.raises(ValueError, match=rf'unknown keys \(1\): {re.escape(extra)}'):
        convert({**state, extra: torch.zeros(1)})
    for lost in (f'{EXCHANGE[release]}.{norm}._mean', f'conv_last.{norm}.weight'):
        with pytest.raises(ValueError, match=rf'missing keys \(1\): {re.escape(lost)}'):
            convert({key: value for key, value in state.items() if key != lost})


def test_the_releases_have_the_same_layers_in_the_same_order():
    converted = [convert(numbered(paddle_names(18, release)))[0] for release in PADDLE_RELEASES]
    assert converted[0].keys() == converted[1].keys()
    for key, value in converted[0].items():
        assert torch.equal(value, converted[1][key]), key


def test_a_classifier_that_was_cut_off():
    state = {key: value for key, value in numbered(paddle_names(18)).items() if not key.startswith('fc.')}
    assert 'neck.0.final_layer.conv.weight' in convert(state)[0]


def test_names_of_neither_release_are_listed():
    keys = {'conv_layer1_1.conv.weight': (64, 3, 3, 3), 'layer1.0.strange.weight': (1,), 'tr9.weight': (1,)}
    with pytest.raises(ValueError, match=r'for paddle .*\nunknown keys \(2\): layer1.0.strange.weight, tr9'):
        convert(numbered(keys))
