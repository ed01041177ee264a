"""Stored outputs of the official networks, and timm's, from the frameworks' full models with converted weights."""

import pytest
import timm
import torch

from hrnet_plugins.models import HRFPN, HRNet
from hrnet_plugins.weights import check_against, convert
from tests.helpers import frameworks
from tests.helpers.networks import assert_equal, fill, filled, image, reference


def load(model, state, source=None):
    converted, _ = convert(state, source)
    check_against(converted, model)
    model.load_state_dict(converted, strict=True)
    return model.eval()


def case_of(name):
    case, expected = reference(name)
    return filled(dict(case['keys'])), image(tuple(case['input'])), expected


@pytest.mark.parametrize('arch', ['w18', 'w18_small_v1'])
def test_classification(arch):
    state, x, expected = case_of(f'cls_{arch}')
    model = load(frameworks.classifier(arch), state)
    with torch.inference_mode():
        assert_equal(model(x, mode='tensor'), expected['logits'])


@pytest.mark.filterwarnings('ignore:When align_corners=True')  # mmseg's advice on sizes
def test_segmentation():
    state, x, expected = case_of('seg_w18_20')
    model = load(frameworks.segmentor('w18', 20), state)
    with torch.inference_mode():
        assert_equal(model(x, mode='tensor'), expected['out'])


@pytest.mark.filterwarnings('ignore:When align_corners=True')  # mmseg's advice on sizes
def test_segmentation_ocr():
    state, x, expected = case_of('seg_ocr_w18_19')
    model = load(frameworks.ocr_segmentor('w18', 19), state)
    with torch.inference_mode():
        feats = model.extract_feat(x)
        aux = model.decode_head[0](feats)
        assert_equal(aux, expected['aux'])
        assert_equal(model.decode_head[1](feats, aux), expected['out'])


def test_fcos():
    state, x, expected = case_of('fcos_w18_5l')
    model = load(frameworks.fcos('w18'), state)
    with torch.inference_mode():
        feats = model.extract_feat(x)
        outs = model.bbox_head(feats)
    for i in range(5):
        for name, out in zip(('fpn', 'cls', 'reg', 'ctr'), (feats, *outs), strict=True):
            assert_equal(out[i], expected[f'{name}{i}'])


def test_detection_backbone_and_neck():
    state, x, expected = case_of('det_w18')
    model = torch.nn.ModuleDict(dict(backbone=HRNet('w18'), neck=HRFPN(HRNet('w18').out_channels)))
    load(model, state)
    with torch.inference_mode():
        feats = model['backbone'](x)
        pyramid = model['neck'](feats)
    for name, outs in (('stage4_', feats), ('fpn', pyramid)):
        for i, out in enumerate(outs):
            assert_equal(out, expected[f'{name}{i}'])


def test_files_without_counters_load_strictly():
    state, x, expected = case_of('cls_w18_small_v1')
    state = {key: value for key, value in state.items() if not key.endswith('num_batches_tracked')}
    model = load(frameworks.classifier('w18_small_v1'), state)
    with torch.inference_mode():
        assert_equal(model(x, mode='tensor'), expected['logits'])


TIMM = {
    'hrnet_w18': 'w18',
    'hrnet_w18_small': 'w18_small_v1',
    'hrnet_w18_small_v2': 'w18_small_v2',
    'hrnet_w18_ssld': 'w18',
    'hrnet_w48': 'w48',
}


@pytest.mark.parametrize('name', TIMM)
def test_timm_both_ways(name):
    num_classes = 10 if name.endswith('v2') else 1000
    theirs = fill(timm.create_model(name, pretrained=False, num_classes=num_classes)).eval()
    state = theirs.state_dict()
    ours = load(frameworks.classifier(TIMM[name], num_classes=num_classes), state, None if 'ssld' in name else 'timm')
    x = image((1, 3, 64, 96))
    with torch.inference_mode():
        expected = theirs(x)
        assert_equal(ours(x, mode='tensor'), expected)
        back, report = convert(ours.state_dict(), target='timm-ssld' if 'ssld' in name else 'timm')
        assert len(report.added) == (0 if 'ssld' in name else 4)
        fill(theirs).load_state_dict(back, strict=True)
        assert_equal(theirs(x), expected)
