"""HRNet-Semantic-Segmentation's names, and InPlaceABN."""

import re

import pytest
import torch

from hrnet_plugins.weights import convert, recognise
from tests.helpers import frameworks
from tests.helpers.networks import TINY, fill
from tests.helpers.published import CUSTOM, assert_same, stored, without_counters


def full_model(state):
    """As the official training code saves Cityscapes models."""
    return {**{f'model.{k}': v for k, v in state.items()}, 'loss.criterion.weight': torch.ones(20)}


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_losses_are_dropped(prefix):
    state = stored('seg_w18_20')
    wrapped = {prefix + key: value for key, value in full_model(state).items()}
    converted, report = convert(wrapped)
    assert report.dropped == (f'{prefix}loss.criterion.weight',)
    assert_same(converted, convert(state)[0])
    assert 'dropped 1: ' in str(report)


@pytest.mark.parametrize('prefix', ['', 'module.', 'module.model.'])
def test_losses_alone_are_no_model(prefix):
    with pytest.raises(ValueError, match=r'in no known format \(its first keys: loss\.criterion\.weight\)'):
        convert({f'{prefix}loss.criterion.weight': torch.ones(20)})


def negated(state):
    """Every other entry of the norm weights turned negative, as InPlaceABN may leave them."""
    signs = {k: torch.ones_like(v) for k, v in state.items() if f'{k.removesuffix("weight")}running_mean' in state}
    for sign in signs.values():
        sign[::2] = -1
    return {k: v * signs[k] if k in signs else v for k, v in state.items()}


def test_inplace_abn():
    plain = without_counters(stored('seg_ocr_w18_19'))
    old = negated(plain)
    assert recognise(plain) == 'official-seg'
    assert recognise(old) == 'official-seg-abn'
    converted, report = convert(old)
    assert re.search(r'note: taken for InPlaceABN.* name the format official-seg$', str(report))
    expected, _ = convert(plain)
    assert report.made_absolute
    for key, value in expected.items():
        assert torch.equal(converted[key], value + 1e-5 if key in report.made_absolute else value), key
    norms = [key for key in expected if key.endswith('running_mean')]
    assert len(report.made_absolute) == len(norms)
    named, report = convert(old, 'official-seg-abn')
    assert_same(named, converted)
    assert not report.notes
    kept, report = convert(old, 'official-seg')
    assert (kept['backbone.bn1.weight'] < 0).any()
    assert 'looks like a file trained on InPlaceABN' in report.notes[0]


def test_negative_weights_alone_are_not_inplace_abn():
    state = negated(stored('seg_w18_20'))
    assert recognise(state) == 'official-seg'
    converted, report = convert(state)
    assert (converted['backbone.bn1.weight'] < 0).any()
    assert not report.notes


def test_segmentation_of_any_shape():
    for model in (
        frameworks.segmentor(CUSTOM, 3),
        frameworks.ocr_segmentor(TINY, 4, channels=12, ocr_channels=6),
    ):
        state = fill(model).state_dict()
        official, report = convert(state, target='official-seg')
        assert all(not official[key].any() for key in report.added)
        assert_same(convert(official)[0], state)
