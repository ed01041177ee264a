"""The recipes that test converted weights of others' codes keep the conventions those were trained under."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from hrnet_plugins.recipes import recipes
from hrnet_plugins.weights import convert
from tests.helpers.networks import assert_equal, fill, filled, image, reference

OFFICIAL = [name for name in recipes() if name.endswith('-official_coco')]
TWO_STAGE = [name for name in OFFICIAL if not name.startswith('fcos')]
MMDET1 = [name for name in recipes() if name.endswith('-mmdet1_coco')]


def build(name):
    init_default_scope('mmdet')
    from mmdet.registry import MODELS  # noqa: PLC0415

    with torch.device('meta' if name in MMDET1 else 'cpu'):
        return MODELS.build(Config.fromfile(recipes()[name]).model).eval()


def listed(value):
    """The parts of a cascade, or the one part of another head."""
    return list(value) if isinstance(value, (list, torch.nn.ModuleList)) else [value]


@pytest.mark.parametrize('name', [*TWO_STAGE, *(name for name in MMDET1 if not name.startswith('fcos'))])
def test_two_stage_conventions(name):
    model = build(name)
    assert type(model.rpn_head.prior_generator).__name__ == 'LegacyAnchorGenerator'
    assert model.rpn_head.prior_generator.center_offset == 0.5
    heads = listed(model.roi_head.bbox_head)
    assert len(heads) == (3 if name.startswith(('cascade', 'htc')) else 1)
    coders = [model.rpn_head.bbox_coder, *(head.bbox_coder for head in heads)]
    assert {type(coder).__name__ for coder in coders} == {'LegacyDeltaXYWHBBoxCoder'}
    assert [coder.stds[0] for coder in coders] == [1.0, 0.1, 0.05, 0.033][: len(coders)]
    extractors = listed(model.roi_head.bbox_roi_extractor)
    roi_head = model.roi_head
    extractors += listed(roi_head.mask_roi_extractor) if name.startswith(('mask', 'cascade-mask', 'htc')) else []
    extractors += [roi_head.semantic_roi_extractor] if name.startswith('htc') else []
    for extractor in extractors:
        assert {(layer.sampling_ratio, layer.aligned) for layer in extractor.roi_layers} == {(2, False)}
    rpn = model.test_cfg.rpn
    proposals = 1000 if name in MMDET1 else 2000
    assert (rpn.nms_pre, rpn.max_per_img, rpn.nms.iou_threshold) == (proposals, proposals, 0.7)
    rcnn = model.test_cfg.rcnn
    score = 0.001 if name.startswith('htc') else 0.05
    assert (rcnn.score_thr, rcnn.nms.iou_threshold, rcnn.max_per_img) == (score, 0.5, 100)


@pytest.mark.parametrize('name', TWO_STAGE)
def test_an_official_file_converts_into_the_recipe(name):
    model = build(name)
    own = fill(model).state_dict()
    official, _ = convert(own, target='official-det')
    assert {value.shape[0] for key, value in official.items() if 'fc_cls' in key} == {81}
    state, report = convert(official)
    assert report.source == 'official-det'
    model.load_state_dict(state)
    for key, value in own.items():
        # The official files have no box deltas and no masks for the background, so it comes back as it was.
        assert torch.equal(state[key], value), key


@pytest.mark.parametrize('name', [name for name in OFFICIAL if name.startswith('fcos')])
def test_fcos_conventions(name):
    model = build(name)
    levels = 5 if '-5l-' in name else 6
    assert model.data_preprocessor.mean.flatten().tolist() == pytest.approx([102.9801, 115.9465, 122.7717])
    assert model.data_preprocessor.std.flatten().tolist() == [1, 1, 1]
    assert not model.data_preprocessor._channel_conversion
    head = model.bbox_head
    assert [stride[0] for stride in head.prior_generator.strides] == [128 >> i for i in reversed(range(levels))]
    assert head.regress_ranges[0] == ((-1, 64) if levels == 5 else (-1, 32))
    assert head.regress_ranges[-1] == (512, 1e8)
    assert not (head.centerness_on_reg or head.norm_on_bbox or head.center_sampling)
    assert model.test_cfg.nms.iou_threshold == 0.6
    x = torch.zeros(1, 3, 128, 160)
    shapes = [tuple(map_.shape[2:]) for map_ in model.extract_feat(x)]
    assert shapes[0] == ((16, 20) if levels == 5 else (32, 40))
    assert len(shapes) == levels


@pytest.mark.parametrize('name', [name for name in MMDET1 if name.startswith('fcos')])
def test_fcos_conventions_of_mmdet_1(name):
    model = build(name)
    preprocessor = Config.fromfile(recipes()[name]).model.data_preprocessor
    assert (preprocessor['mean'], preprocessor['std']) == ([102.9801, 115.9465, 122.7717], [1.0, 1.0, 1.0])
    assert not preprocessor.bgr_to_rgb
    assert not model.bbox_head.conv_bias or model.bbox_head.conv_bias == 'auto'
    assert [stride[0] for stride in model.bbox_head.prior_generator.strides] == [8, 16, 32, 64, 128]
    assert (model.test_cfg.nms.iou_threshold, model.test_cfg.score_thr, model.test_cfg.max_per_img) == (0.5, 0.05, 100)


def test_fcos_recipe_gives_the_official_outputs():
    case, expected = reference('fcos_w18_5l')
    model = build('fcos_hrnetv2p-w18-5l-official_coco')
    state, _ = convert(filled(dict(case['keys'])))
    model.load_state_dict(state)
    with torch.inference_mode():
        classes, boxes, centerness = model.bbox_head(model.extract_feat(image(tuple(case['input']))))
    for level in range(5):
        assert_equal(classes[level], expected[f'cls{level}'])
        assert_equal(boxes[level], expected[f'reg{level}'])
        assert_equal(centerness[level], expected[f'ctr{level}'])
