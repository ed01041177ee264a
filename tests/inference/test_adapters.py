"""Accelerated models of the frameworks: the plain one's outputs in every mode."""

import pytest
import torch

from hrnet_plugins.inference import accelerate, precision
from tests.helpers import frameworks
from tests.helpers.accelerated import DETECTORS, TOLERANCE
from tests.helpers.networks import TINY, assert_equal, fill, image
from tests.helpers.processes import ROOT


@pytest.fixture(autouse=True)
def _bf16_where_there_are_instructions(monkeypatch):
    """Compute in bfloat16 where it is asked for, also on processors that are slower in it."""
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        monkeypatch.setattr(precision, 'is_faster_in_bf16', lambda: True)


CLASSIFIERS_AND_SEGMENTORS = {
    'classifier': lambda: frameworks.classifier(TINY, num_classes=7, out_channels=24, mid_channels=(8, 16, 24, 40)),
    'segmentor': lambda: frameworks.segmentor(TINY, 5),
    'ocr': lambda: frameworks.ocr_segmentor(TINY, 5, channels=16, ocr_channels=8),
}


@pytest.mark.filterwarnings('ignore:When align_corners=True:UserWarning')  # mmseg's advice on sizes
@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('kind', CLASSIFIERS_AND_SEGMENTORS)
def test_classifiers_and_segmentors(kind, dtype):
    plain = fill(CLASSIFIERS_AND_SEGMENTORS[kind]()).eval()
    fast = accelerate(plain, dtype=dtype)
    x = image((2, 3, 97, 131))
    with torch.no_grad():
        assert_equal(fast(x), plain(x), TOLERANCE[dtype])
        for ours, theirs in zip(fast(x, mode='predict'), plain(x, mode='predict'), strict=True):
            if kind == 'classifier':
                assert_equal(ours.pred_score, theirs.pred_score, TOLERANCE[dtype])
            else:
                assert ours.seg_logits.data.dtype == torch.float32
                assert_equal(ours.seg_logits.data, theirs.seg_logits.data, TOLERANCE[dtype])


@pytest.mark.filterwarnings('ignore:When align_corners=True:UserWarning')
def test_what_is_set_on_the_model_later_counts():
    plain = fill(CLASSIFIERS_AND_SEGMENTORS['segmentor']()).eval()
    fast = accelerate(plain)
    x = image((1, 3, 64, 96))
    fast(x, mode='predict')
    plain.test_cfg = type(plain.test_cfg)(mode='slide', crop_size=(48, 48), stride=(16, 48))
    (ours,), (theirs,) = fast(x, mode='predict'), plain(x, mode='predict')
    assert_equal(ours.seg_logits.data, theirs.seg_logits.data.detach())
    assert fast.test_cfg is plain.test_cfg


@pytest.mark.filterwarnings('ignore:`build_loss` would be:UserWarning')
@pytest.mark.parametrize(
    'test_cfg', [dict(mode='whole'), dict(mode='fused', base_size=96, crop_size=(64, 96), windows='shifted')]
)
def test_our_ocr_model(test_cfg):
    from mmengine.config import Config  # noqa: PLC0415

    import hrnet_plugins.seg  # noqa: F401, PLC0415, as custom_imports does

    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / 'ocr_hrnetv2.py').model
    cfg.backbone.update(type='hrnet_plugins.HRNet', arch=TINY)
    for head in cfg.decode_head:
        head.update(in_channels=TINY.channels, num_classes=5)
    cfg.decode_head[1].update(channels=16, ocr_channels=8)
    cfg['test_cfg'] = test_cfg
    plain = fill(frameworks.build('mmseg', cfg)).eval()
    fast = accelerate(plain)
    x = image((1, 3, 64, 96))
    with torch.no_grad():
        (ours,), (theirs,) = fast(x, mode='predict'), plain(x, mode='predict')
    assert_equal(ours.seg_logits.data, theirs.seg_logits.data)


def detections_of(model, x):
    from mmdet.structures import DetDataSample  # noqa: PLC0415

    size = tuple(x.shape[2:])
    metainfo = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    samples = [DetDataSample(metainfo=dict(metainfo)) for _ in x]
    with torch.no_grad():
        return [sample.pred_instances for sample in model(x, samples, mode='predict')]


@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning', 'ignore:To copy construct:UserWarning')  # mmdet's
@pytest.mark.parametrize('dtype', TOLERANCE)
@pytest.mark.parametrize('kind', DETECTORS)
def test_detectors(kind, dtype):
    from mmengine import ConfigDict  # noqa: PLC0415

    plain = fill(DETECTORS[kind]()).eval()
    # Nothing is suppressed or cut off: of the nearly equal scores of random weights, rounding would choose others.
    everything = dict(nms=dict(type='nms', iou_threshold=1.0), max_per_img=100_000, nms_pre=100_000)
    if kind == 'fcos':
        plain.bbox_head.test_cfg = ConfigDict(score_thr=0.0, min_bbox_size=-1, **everything)
    else:
        plain.rpn_head.test_cfg = ConfigDict(min_bbox_size=-1, **everything)
        plain.roi_head.test_cfg = ConfigDict(score_thr=0.0, mask_thr_binary=0.5, **everything)
    fast = accelerate(plain, dtype=dtype)
    x = image((2, 3, 45, 64))
    with torch.no_grad():
        for a, b in zip(fast.extract_feat(x), plain.extract_feat(x), strict=True):
            assert_equal(a, b, TOLERANCE[dtype])
    for ours, theirs in zip(detections_of(fast, x), detections_of(plain, x), strict=True):
        assert ours.bboxes.dtype == ours.scores.dtype == torch.float32
        assert len(ours.scores) > 100
        assert_equal(ours.scores.sort()[0], theirs.scores.sort()[0], TOLERANCE[dtype])
        assert_equal(ours.bboxes.sort(0)[0], theirs.bboxes.sort(0)[0], TOLERANCE[dtype])
        if 'mask' in kind:
            assert ours.masks.shape == theirs.masks.shape
            assert float(ours.masks.float().mean()) == pytest.approx(float(theirs.masks.float().mean()), rel=3e-2)
