"""Two-stage detectors of mmdet before 2.0 and of HRNet-Object-Detection: names, and the order of classes."""

import pytest
import torch

from hrnet_plugins.weights import check_against, convert, recognise
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, image
from tests.helpers.published import assert_same, official_detector

KINDS = ('faster', 'mask', 'cascade', 'cascade-mask')


@pytest.mark.parametrize('neck', [True, False], ids=['official-det', 'mmdet-v1'])
@pytest.mark.parametrize('num_classes', [1, 80])
@pytest.mark.parametrize('kind', KINDS)
def test_two_stage_detectors(kind, num_classes, neck):
    model = frameworks.two_stage(kind, TINY, num_classes=num_classes, levels=6 if kind == 'mask' else 5)
    state = official_detector(model, neck)
    assert recognise(state) == ('official-det' if neck else 'mmdet-v1')
    converted, report = convert(state)
    check_against(converted, model)
    model.load_state_dict(converted, strict=True)
    assert len(report.reordered) > 0

    cascade = 'cascade' in kind
    heads = model.roi_head.bbox_head if cascade else [model.roi_head.bbox_head]
    x = image((5, heads[0].in_channels, 7, 7))
    for i, head in enumerate(heads):
        name = f'bbox_head.{i}.' if cascade else 'bbox_head.'
        scores, deltas = head(x)
        hidden = x.flatten(1)
        for fc in (0, 1):
            hidden = _linear(state, f'{name}shared_fcs.{fc}', hidden).relu()
        expected = _linear(state, f'{name}fc_cls', hidden).softmax(1)
        assert_equal(scores.softmax(1)[:, :-1], expected[:, 1:])
        assert_equal(scores.softmax(1)[:, -1], expected[:, 0])
        expected = _linear(state, f'{name}fc_reg', hidden)
        assert_equal(deltas, expected if cascade else expected[:, 4:])
    if 'mask' in kind:
        logits = 'mask_head.0.conv_logits' if cascade else 'mask_head.conv_logits'
        head = model.roi_head.mask_head[0] if cascade else model.roi_head.mask_head
        x = image((2, head.conv_logits.in_channels, 4, 4))
        old = torch.nn.functional.conv2d(x, state[f'{logits}.weight'], state[f'{logits}.bias'])
        assert_equal(head.conv_logits(x), old[:, 1:])

    back, _ = convert(converted, target=recognise(state))
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in state.items()}
    assert_same(convert(back)[0], converted)


def _linear(state, name, x):
    return torch.nn.functional.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])


def test_rows_that_fit_no_class_count():
    state = official_detector(frameworks.two_stage('faster', TINY, num_classes=3))
    state['bbox_head.fc_reg.weight'] = state['bbox_head.fc_reg.weight'][:12]
    with pytest.raises(ValueError, match=r'fc_reg\.weight` has 12 rows; 3 classes .* need 16, or 4'):
        convert(state)


def test_hybrid_task_cascade_names():
    state = official_detector(frameworks.two_stage('cascade-mask', TINY, num_classes=3))
    extra = {f'mask_head.{i}.conv_res.conv.{entry}': torch.ones(1) for i in (1, 2) for entry in ('weight', 'bias')}
    extra['semantic_head.conv_logits.weight'] = torch.ones(183, 2, 1, 1)
    converted, _ = convert({**state, **extra})
    for key, value in extra.items():
        assert converted[f'roi_head.{key}'] is value
