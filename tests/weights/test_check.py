"""A file that lacks entries or has others is refused, with a list of them."""

import re

import pytest
import torch

from hrnet_plugins.weights import convert, recognise
from tests.helpers.published import REFERENCES, stored


@pytest.mark.parametrize('name', REFERENCES)
def test_any_key_that_is_missing_or_unknown_is_listed(name):
    state = stored(name)
    assert recognise(state) == REFERENCES[name]
    keys = [key for key in state if not key.endswith('num_batches_tracked')]
    for lost in [*keys[::211], *keys[-26::3]]:
        broken = {key: value for key, value in state.items() if key != lost}
        broken['stage2.0.surprise'] = broken['a.b'] = torch.zeros(1)
        with pytest.raises(ValueError, match='not a whole') as error:
            convert(broken, REFERENCES[name])
        assert re.search(rf'missing keys \(1\): {re.escape(lost)}$', str(error.value), re.MULTILINE), lost
        assert re.search(r'unknown keys \(2\): .*\ba\.b\b', str(error.value)), str(error.value)


@pytest.mark.parametrize(
    ('name', 'gone'),
    [
        ('cls_w18', 'incre_modules.3.'),
        ('cls_w18', 'incre_modules.2.0.downsample.'),
        ('cls_w18', 'downsamp_modules.2.'),
        ('cls_w18', 'stage4.2.fuse_layers.1.'),
        ('cls_w18', 'stage4.2.fuse_layers.2.'),
        ('cls_w18', 'stage4.2.branches.1.'),
        ('cls_w18', 'stage3.1.fuse_layers.'),
        ('seg_ocr_w18_19', 'aux_head.'),
        ('seg_ocr_w18_19', 'ocr_distri_head.object_context_block.f_up.'),
        ('fcos_w18_5l', 'rpn.head.scales.'),
        ('fcos_w18_5l', 'rpn.head.bbox_tower.9.'),
        ('fcos_w18_5l', 'backbone.fpn.fpn_conv.4.'),
        ('det_w18', 'neck.reduction_conv.'),
    ],
)
def test_incomplete_families_are_listed(name, gone):
    state = stored(name)
    lost = [key for key in state if key.startswith(gone) and not key.endswith('num_batches_tracked')]
    assert lost
    with pytest.raises(ValueError, match='missing keys') as error:
        convert({key: value for key, value in state.items() if not key.startswith(gone)})
    listed = set(re.findall(r'[\w.]+\.\w+', str(error.value)))
    optional = {key for key in lost if '.0.downsample.' in key and gone == 'incre_modules.3.'}
    assert set(lost) - optional <= listed


def test_contradicting_shapes_are_listed():
    state = stored('cls_w18_small_v1')
    state['stage4.0.branches.1.1.conv2.weight'] = torch.zeros(5, 5, 3, 3)
    message = r'stage4\.0\.branches\.1\.1\.conv2\.weight: expected \(32, 32, 3, 3\), found \(5, 5, 3, 3\)'
    with pytest.raises(ValueError, match=message):
        convert(state)
