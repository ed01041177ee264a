"""Every format is recognised, converted, and converted back."""

import pytest
import torch

from hrnet_plugins.weights import FORMATS, convert, recognise
from tests.helpers.published import REFERENCES, assert_same, stored, without_counters


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('name', REFERENCES)
def test_recognised_and_back(name, prefix):
    state = stored(name)
    prefixed = {prefix + key: value for key, value in state.items()}
    before = {key: value.clone() for key, value in prefixed.items()}
    assert recognise(prefixed) == REFERENCES[name]
    converted, report = convert(prefixed)
    assert_same(prefixed, before)
    assert len(converted) + len(report.folded) + len(report.dropped) == len(state)
    assert recognise(converted) == 'openmmlab'
    back, _ = convert(converted, target=REFERENCES[name])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in state.items()}
    again, _ = convert(back)
    assert_same(again, converted)


@pytest.mark.parametrize('name', REFERENCES)
def test_counters_may_be_absent(name):
    state = without_counters(stored(name))
    converted, report = convert(state)
    assert_same(converted, without_counters(convert(stored(name))[0]))
    assert report.source == REFERENCES[name]
    assert not report.notes


def test_prefixes_of_wrappers():
    state = stored('cls_w18_small_v1')
    for prefix in ('module.', 'model.', 'module.model.', 'model.module.'):
        converted, report = convert({prefix + key: value for key, value in state.items()})
        assert_same(converted, convert(state)[0])
        assert (f'{prefix}classifier.bias', 'head.fc.bias') in report.renamed


def test_unknown_formats():
    state = stored('cls_w18_small_v1')
    with pytest.raises(ValueError, match=r"`source` \('caffe'\) is no known format; known: .*official-cls"):
        convert(state, 'caffe')
    with pytest.raises(ValueError, match=r"`target` \('caffe'\) is no known format"):
        convert(state, target='caffe')
    with pytest.raises(ValueError, match=r"`target` \('official-seg-abn'\) .* can only be read"):
        convert(state, target='official-seg-abn')
    with pytest.raises(ValueError, match=r'in no known format \(its first keys: fc\.weight\); known: '):
        recognise({'fc.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='no known format'):
        recognise({})
    with pytest.raises(ValueError, match='holds no HRNet'):
        convert({'conv1.weight': torch.zeros(64, 3, 7, 7), 'layer1.0.conv1.weight': torch.zeros(64, 64, 1, 1)})


def test_a_target_that_cannot_hold_the_model():
    with pytest.raises(ValueError, match=r'timm \(.*\) cannot hold this official-seg model:\nkeys it has no place for'):
        convert(stored('seg_w18_20'), target='timm')


def test_every_format_is_in_these_tests():
    tested = {
        *REFERENCES.values(),
        'timm',
        'timm-ssld',
        'mmdet-v1',
        'official-seg-abn',
        'paddle',
        'paddle-2.0',
        'openmmlab',
    }
    assert tested == set(FORMATS)
