"""Accelerated models: the plain one's outputs, methods and state, and never stale."""

import copy
import math
import pickle
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hrnet_plugins import HRNetArch, Stage
from hrnet_plugins.inference import BACKENDS, accelerate
from hrnet_plugins.inference.backends import Backend
from hrnet_plugins.models import HRFPN, HRFuseScales, HRNet
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, fill, image
from tests.helpers.processes import ROOT

BOTTLENECKS = HRNetArch(
    (
        Stage(1, (1,), (5,), 'BOTTLENECK'),
        Stage(1, (1, 1), (3, 6), 'BOTTLENECK'),
        Stage(1, (1, 1, 1), (3, 6, 12)),
        Stage(2, (1, 1, 1, 1), (3, 6, 12, 24)),
    )
)
"""Channels that are no multiple of 8, as those of w18, w30 and w44 are not."""

TOLERANCE = {None: 1e-5, 'bf16': 3e-2}
"""Greatest difference from the plain model, as a part of each output's greatest value."""

MODULES = {
    'tiny': lambda: HRNet(TINY),
    'bottlenecks': lambda: HRNet(BOTTLENECKS),
    'bilinear': lambda: HRNet(TINY, upsample='bilinear', align_corners=True),
    'group norm': lambda: HRNet(TINY, norm_cfg=dict(type='GN', num_groups=2)),
    'sync batch norm': lambda: HRNet(TINY, norm_cfg=dict(type='SyncBN')),
    'one output': lambda: HRNet(TINY, multiscale_output=False),
    'two outputs': lambda: HRNet(TINY, out_indices=(0, 2)),
    'grey': lambda: HRNet(TINY, in_channels=1),
    'fpn': lambda: _with(HRFPN, TINY, 16),
    'fpn, strided': lambda: _with(HRFPN, BOTTLENECKS, 16, stride=2, num_outs=6, pooling='max'),
    'fpn, norms': lambda: _with(HRFPN, TINY, 16, norm_cfg=dict(type='BN')),
    'fuse': lambda: _with(HRFuseScales, TINY, 24, mid_channels=(8, 16, 24, 40)),
}


def _with(neck, arch, *args, **options):
    backbone = HRNet(arch)
    return nn.Sequential(backbone, neck(backbone.out_channels, *args, **options))


def built(name):
    """A module with weights as tame as trained ones, without which bfloat16 would drift over the depth."""
    return fill(MODULES[name]()).eval()


def in_channels(module):
    return getattr(module, 'in_channels', 3)


@torch.no_grad()
def assert_same(fast, plain, x, tolerance=1e-5):
    theirs = plain(x)
    ours = fast(x)
    assert type(ours) is type(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert_equal(a, b, tolerance)


@pytest.mark.parametrize(
    ('name', 'dtype'),
    # A group norm stays a norm, on convolutions that bfloat16 has rounded: nothing promises 3e-2 there.
    [(name, dtype) for name in MODULES for dtype in TOLERANCE if (name, dtype) != ('group norm', 'bf16')],
)
def test_outputs_are_the_plain_ones(name, dtype):
    plain = built(name)
    before = copy.deepcopy(plain.state_dict())
    fast = accelerate(plain, dtype=dtype)
    for size in ((1, 64, 96), (2, 97, 131)):
        batch, height, width = size
        assert_same(fast, plain, image((batch, in_channels(plain), height, width)), TOLERANCE[dtype])
    assert isinstance(fast, type(plain))
    assert all(torch.equal(value, before[key]) for key, value in plain.state_dict().items()), 'the model is untouched'


def test_batches_of_one_to_eight():
    plain = built('fpn')
    fast = accelerate(plain)
    for batch in range(1, 9):
        assert_same(fast, plain, image((batch, 3, 33, 47), seed=batch))


@pytest.mark.parametrize(
    'arch', ['w18_small_v1', *(pytest.param(arch, marks=pytest.mark.slow) for arch in ('w18', 'w48'))]
)
@pytest.mark.parametrize('dtype', TOLERANCE)
def test_published_widths(arch, dtype):
    backbone = HRNet(arch)
    plain = fill(nn.Sequential(backbone, HRFPN(backbone.out_channels))).eval()
    assert_same(accelerate(plain, dtype=dtype), plain, image((1, 3, 160, 165)), TOLERANCE[dtype])


def test_necks_alone():
    backbone = built('tiny')
    neck = fill(HRFPN(backbone.out_channels, 16)).eval()
    with torch.no_grad():
        feats = backbone(image((1, 3, 97, 131)))
    assert_same(accelerate(neck), neck, feats)


def test_a_module_that_returns_a_tensor_still_does():
    plain = fill(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())).eval()
    x = image((2, 3, 8, 9))
    with torch.no_grad():
        assert_equal(accelerate(plain)(x), plain(x))


def test_outputs_have_the_precision_of_the_images():
    fast = accelerate(built('tiny'), dtype=torch.bfloat16)
    x = image((1, 3, 64, 64))
    assert {out.dtype for out in fast(x)} == {torch.float32}
    assert {out.dtype for out in fast(x.bfloat16())} == {torch.bfloat16}
    assert not any(out.requires_grad for out in fast(x))


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


DETECTORS = {
    'fcos': lambda: frameworks.fcos(TINY, num_classes=3, channels=32, levels=5, stride=2, stacked_convs=1),
    'faster': lambda: frameworks.two_stage('faster', TINY, num_classes=3),
    'mask': lambda: frameworks.two_stage('mask', TINY, num_classes=3),
    'cascade': lambda: frameworks.two_stage('cascade', TINY, num_classes=3),
    'cascade-mask': lambda: frameworks.two_stage('cascade-mask', TINY, num_classes=3),
}


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


def changed(change, plain):
    """Outputs before and after a change of the model, both as the fast view gives them."""
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    change(plain, fast)
    assert_same(fast, plain, x)
    return before, fast(x)[0]


@torch.no_grad()
def _scale_in_place(plain, fast):
    plain.conv1.weight.mul_(2)


def _load(plain, fast):
    plain.load_state_dict(
        fill(HRNet(TINY, norm_cfg=dict(type='BN', eps=1e-3))).state_dict() | {'bn1.bias': torch.ones(64)}
    )


def _load_into_the_view(plain, fast):
    fast.load_state_dict(plain.state_dict() | {'bn1.running_mean': torch.ones(64)})


def _assign(plain, fast):
    state = {key: value.clone() * 2 for key, value in plain.state_dict().items()}
    plain.load_state_dict(state, assign=True)


def _exchange_a_parameter(plain, fast):
    plain.conv2.weight = nn.Parameter(plain.conv2.weight.detach() * 2)


def _exchange_a_module(plain, fast):
    plain.layer1 = nn.Sequential(plain.layer1, nn.Softplus())


def _step(plain, fast):
    fast.train()
    optimizer = torch.optim.SGD(fast.parameters(), lr=0.1)
    fast(image((2, 3, 64, 64)))[0].mean().backward()
    optimizer.step()
    fast.eval()


def _through_data(plain, fast):
    """As mmengine's EMAHook does, between training and evaluation."""
    fast.train()
    plain.conv1.weight.data.mul_(2)
    fast.eval()


@pytest.mark.parametrize(
    'change',
    [
        _scale_in_place,
        _load,
        _load_into_the_view,
        _assign,
        _exchange_a_parameter,
        _exchange_a_module,
        _step,
        _through_data,
    ],
)
def test_never_stale(change):
    before, after = changed(change, built('tiny'))
    assert not torch.equal(before, after), 'the change matters'


def test_to_another_precision():
    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    fast(x)
    assert fast.double() is fast
    assert plain.conv1.weight.dtype == torch.float64
    with torch.no_grad():
        assert_equal(fast(x.double())[0], plain(x.double())[0])


def test_training_is_the_plain_models():
    plain, other = built('tiny'), built('tiny')
    fast = accelerate(plain)
    x = image((2, 3, 64, 64))
    fast(x)
    fast.train()
    other.train()
    assert plain.training
    fast(x)[0].sum().backward()
    other(x)[0].sum().backward()
    assert torch.equal(plain.conv1.weight.grad, other.conv1.weight.grad)
    assert torch.equal(plain.bn1.running_mean, other.bn1.running_mean)
    assert list(fast.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301
def test_copies_are_accelerated_and_of_their_own(copied):
    fast = accelerate(built('tiny'), dtype='bf16')
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    other = copied(fast)
    assert type(other) is type(fast)
    assert_equal(other(x)[0], before, 1e-6)
    with torch.no_grad():
        other.conv1.weight.mul_(2)
    assert torch.equal(fast(x)[0], before)
    assert not torch.equal(other(x)[0], before)


def test_accelerating_twice_changes_the_choices():
    fast = accelerate(accelerate(built('tiny')), dtype='bf16')
    assert type(fast).__name__ == 'AcceleratedHRNet'
    assert fast(image((1, 3, 64, 64)).bfloat16())[0].dtype == torch.bfloat16


def test_hooks_of_the_model_run():
    plain = built('tiny')
    seen = []
    fast = accelerate(plain)
    fast(image((1, 3, 64, 64)))
    plain.register_forward_hook(lambda module, args, output: seen.append('model'))
    plain.stage2.register_forward_hook(lambda module, args, output: seen.append('stage'))
    fast(image((1, 3, 64, 64)))
    assert seen == ['stage', 'model']


def test_threads_that_come_first_together_share_one_twin(monkeypatch):
    made = []

    def compile_part(part, dtype):
        made.append(part)
        time.sleep(0.2)
        return part.module

    monkeypatch.setitem(sys.modules, 'slow_backend', SimpleNamespace(compile=compile_part))
    monkeypatch.setattr('hrnet_plugins.inference.backends.BACKENDS', {'slow': Backend('slow_backend')})
    plain = built('tiny')
    fast = accelerate(plain, backend='slow')
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fast(image((1, 3, 64, 64))), range(4)))
    assert len(made) == 1
    assert all(torch.equal(result[0], results[0][0]) for result in results)


def test_an_image_without_a_batch_is_refused_as_by_the_plain_model():
    plain = built('tiny')
    messages = []
    for model in (plain, accelerate(plain)):
        with pytest.raises(ValueError, match='64') as caught:
            model(torch.zeros(3, 64, 64))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_mmcvs_fused_model_is_accelerated_too():
    from mmcv.cnn import fuse_conv_bn  # noqa: PLC0415

    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    before = fast(x)[0]
    fuse_conv_bn(fast)
    assert isinstance(plain.bn1, nn.Identity)
    assert_equal(fast(x)[0], before)


def test_folding_follows_the_forward_not_the_order_of_registration():
    from mmcv.cnn import ConvModule  # noqa: PLC0415

    before = ConvModule(4, 4, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act'))
    plain = fill(nn.Sequential(before, nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4))).eval()
    x = image((2, 4, 9, 9))
    with torch.no_grad():
        assert_equal(accelerate(plain)(x), plain(x))


def test_the_state_that_is_watched_is_cheap_to_compare():
    from hrnet_plugins.inference.watch import Watch  # noqa: PLC0415

    plain = built('tiny')
    watch = Watch(plain)
    assert not watch.changed()
    plain.register_buffer('extra', torch.zeros(1))
    assert watch.changed()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(backend='cuda'), rf"`backend` \('cuda'\) is unknown; known: {', '.join(BACKENDS)}"),
        (dict(dtype='int8'), r"`dtype` \('int8'\) must be one of fp32, bf16, fp16"),
        (dict(dtype=torch.float64), r'`dtype` \(torch.float64\) must be one of'),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        accelerate(nn.Identity(), **options)


def test_fp16_needs_a_cpu_that_has_it(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_fp16_supported', lambda: False)
    fast = accelerate(built('tiny'), dtype='fp16')
    with pytest.raises(ValueError, match=r'`dtype` \(torch.float16\) is slower than float32 on this CPU'):
        fast(image((1, 3, 64, 64)))


def test_a_backend_gets_the_part_and_the_precision(monkeypatch):
    calls = []

    def compile_part(part, dtype):
        calls.append((tuple(part.module(image((1, 3, 64, 64)))[0].shape), dtype))
        return part.module

    monkeypatch.setitem(sys.modules, 'other_backend', SimpleNamespace(compile=compile_part))
    monkeypatch.setattr('hrnet_plugins.inference.backends.BACKENDS', {'other': Backend('other_backend')})
    plain = fill(DETECTORS['faster']()).eval()
    fast = accelerate(plain, backend='other')
    x = image((1, 3, 64, 64))
    with torch.no_grad():
        for a, b in zip(fast.extract_feat(x), plain.extract_feat(x), strict=True):
            assert torch.equal(a, b)
    assert calls == [((1, 16, 16, 16), torch.float32)]
    assert not math.isnan(float(fast.extract_feat(x)[0].sum()))
