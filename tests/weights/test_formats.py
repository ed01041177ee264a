"""Names and values of every format: recognised, converted strictly, and back again."""

import re
import subprocess
import sys
import tempfile
from itertools import pairwise

import pytest
import timm
import torch

from hrnet_plugins import ARCHS, HRNetArch, Stage
from hrnet_plugins.models import HRFuseScales, HRNet
from hrnet_plugins.weights import FORMATS, arch_of, check_against, convert, recognise
from hrnet_plugins.weights.formats.spec import Template
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, fill, filled, image, reference
from tests.helpers.processes import ROOT

REFERENCES = {
    'cls_w18': 'official-cls',
    'cls_w18_small_v1': 'official-cls',
    'seg_w18_20': 'official-seg',
    'seg_ocr_w18_19': 'official-seg',
    'fcos_w18_5l': 'official-fcos',
    'det_w18': 'official-det',
}


def stored(name):
    return filled(dict(reference(name)[0]['keys']))


def names_of(module):
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def equal(a, b):
    assert a.keys() == b.keys()
    for key, value in b.items():
        assert torch.equal(a[key], value), key


def uncounted(state):
    return {key: value for key, value in state.items() if not key.endswith('num_batches_tracked')}


@pytest.mark.parametrize(
    ('template', 'key', 'bindings'),
    [
        ('a.{i}.b', 'a.12.b', {'i': 12}),
        ('a.{i}.b', 'a.b', None),
        ('a.{i}.{i}', 'a.2.2', {'i': 2}),
        ('a.{i}.{i}', 'a.2.3', None),
        ('a.{3*i+1}.*', 'a.7.b.c', {'i': 2, '*': 'b.c'}),
        ('a.{3*i+1}.*', 'a.6.b', None),
        ('a.*', 'a.', None),
        ('a.b', 'axb', None),
    ],
)
def test_templates(template, key, bindings):
    template = Template(template)
    assert template.match(key) == bindings
    assert bindings is None or template.fill(bindings) == key


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('name', REFERENCES)
def test_recognised_and_back(name, prefix):
    state = stored(name)
    prefixed = {prefix + key: value for key, value in state.items()}
    before = {key: value.clone() for key, value in prefixed.items()}
    assert recognise(prefixed) == REFERENCES[name]
    converted, report = convert(prefixed)
    equal(prefixed, before)
    assert len(converted) + len(report.folded) + len(report.dropped) == len(state)
    assert recognise(converted) == 'openmmlab'
    back, _ = convert(converted, target=REFERENCES[name])
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in state.items()}
    again, _ = convert(back)
    equal(again, converted)


@pytest.mark.parametrize('name', REFERENCES)
def test_counters_may_be_absent(name):
    state = uncounted(stored(name))
    converted, report = convert(state)
    equal(converted, uncounted(convert(stored(name))[0]))
    assert report.source == REFERENCES[name]
    assert not report.notes


def test_prefixes_of_wrappers():
    state = stored('cls_w18_small_v1')
    for prefix in ('module.', 'model.', 'module.model.', 'model.module.'):
        converted, report = convert({prefix + key: value for key, value in state.items()})
        equal(converted, convert(state)[0])
        assert (f'{prefix}classifier.bias', 'head.fc.bias') in report.renamed


def test_report():
    _, report = convert(stored('fcos_w18_5l'))
    assert str(report).splitlines() == [
        'official-fcos -> openmmlab',
        'renamed 1885, to backbone.* (1830), neck.* (12), bbox_head.* (43)',
        'reshaped 5: ' + ', '.join(f'bbox_head.scales.{i}.scale' for i in range(5)),
    ]
    _, report = convert(stored('cls_w18'), target='timm')
    assert 'added as zeros 4: downsamp_modules.0.0.bias' in str(report)
    assert report.renamed == ()


def test_needs_torch_only():
    code = """
import sys
for name in ('mmengine', 'mmcv', 'safetensors', 'mmdet', 'mmseg', 'mmpretrain', 'timm', 'huggingface_hub'):
    sys.modules[name] = None
import torch
from hrnet_plugins.weights import load_state_dict, recognise, save
save({'backbone.conv1.weight': torch.zeros(2)}, sys.argv[1])
print(recognise(load_state_dict(sys.argv[1])))
"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-c', code, f'{folder}/x.pth']
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == 'openmmlab\n'


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
        ('cls_w18', 'classifier.'),
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


# --- architectures


CUSTOM = HRNetArch(
    (
        Stage(1, (2,), (8,)),
        Stage(2, (1, 3), (4, 10), 'BOTTLENECK'),
        Stage(1, (1, 1, 2), (6, 8, 16)),
        Stage(3, (1, 1, 1, 2, 1), (4, 8, 12, 20, 24)),
    )
)


@pytest.mark.parametrize('arch', [*ARCHS, TINY, CUSTOM], ids=[*ARCHS, 'tiny', 'custom'])
def test_arch_of(arch):
    with torch.device('meta'):
        state = HRNet(arch).state_dict()
    assert arch_of(state) == HRNetArch.of(arch)
    assert arch_of({f'x.backbone.{key}': value for key, value in state.items()}) == HRNetArch.of(arch)


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
    equal(converted, {f'backbone.{key}': value for key, value in state.items()})
    for lost in list(state)[::29]:
        if lost.endswith('num_batches_tracked'):
            continue
        with pytest.raises(ValueError, match=rf'missing keys \(1\): {re.escape(lost)}'):
            convert({key: value for key, value in state.items() if key != lost})


# --- classification


def classifier(arch, mid, num_classes):
    return frameworks.classifier(arch, mid_channels=mid, out_channels=24, num_classes=num_classes)


def test_official_classification_of_any_shape():
    """The official head, as the official code computes it: biases before the norms."""
    mid = tuple(8 * i for i in range(1, 6))
    model = fill(classifier(CUSTOM, mid, 7)).eval()
    official, report = convert(model.state_dict(), target='official-cls')
    assert len(report.added) == 5
    for key in report.added:
        official[key] = image(tuple(official[key].shape), seed=len(key))
    x = image((2, 3, 65, 97))
    neck = model.neck[0]
    for conv, name in (
        *((layer.conv, f'downsamp_modules.{i}.0.bias') for i, layer in enumerate(neck.downsample_layers)),
        (neck.final_layer.conv, 'final_layer.0.bias'),
    ):
        conv.bias = torch.nn.Parameter(official[name])
    ours = classifier(CUSTOM, mid, 7)
    converted, report = convert(official)
    assert len(report.folded) == 5
    ours.load_state_dict(converted)
    with torch.inference_mode():
        assert_equal(ours(x, mode='tensor'), model(x, mode='tensor'))


def test_mmpretrain_files_stay_as_they_are():
    state = fill(classifier(TINY, (8, 16, 24, 40), 5)).state_dict()
    converted, report = convert({**state, 'data_preprocessor.mean': torch.zeros(3)})
    equal(converted, state)
    assert (report.renamed, report.dropped) == ((), ('data_preprocessor.mean',))


@pytest.mark.parametrize('width', [16, 128])
def test_heads_keep_the_shortcut_where_channels_are_equal(width):
    """A branch that has the head's channels already has no ``downsample``."""
    wide = _one_block(width)
    names = {f'backbone.{k}': v for k, v in names_of(HRNet(wide)).items()}
    names |= {f'neck.0.{k}': v for k, v in names_of(HRFuseScales(wide.channels, 8)).items()}
    state = filled({**names, 'head.fc.weight': (3, 8), 'head.fc.bias': (3,)})
    timm_state, _ = convert(state, target='timm')
    assert ('incre_modules.0.0.downsample.0.weight' in timm_state) == (width != 128)
    equal(convert(timm_state)[0], state)


def _one_block(width):
    stages = [Stage(1, (1,), (4,), 'BOTTLENECK')]
    stages += [Stage(1, (1,) * n, (width,) * n) for n in (2, 3, 4)]
    return HRNetArch(tuple(stages))


def test_timm_names_are_the_official_ones():
    model = timm.create_model('hrnet_w18_small', pretrained=False, num_classes=3)
    assert recognise(model.state_dict()) == 'official-cls'
    bare = timm.create_model('hrnet_w18_small', pretrained=False, num_classes=3, head_conv_bias=False)
    assert recognise(bare.state_dict()) == 'timm-ssld'
    equal(convert(model.state_dict())[0], convert(model.state_dict(), 'timm')[0])


# --- segmentation


def full_model(state):
    """As the official training code saves Cityscapes models."""
    return {**{f'model.{k}': v for k, v in state.items()}, 'loss.criterion.weight': torch.ones(20)}


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_losses_are_dropped(prefix):
    state = stored('seg_w18_20')
    wrapped = {prefix + key: value for key, value in full_model(state).items()}
    converted, report = convert(wrapped)
    assert report.dropped == (f'{prefix}loss.criterion.weight',)
    equal(converted, convert(state)[0])
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
    plain = uncounted(stored('seg_ocr_w18_19'))
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
    equal(named, converted)
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
        equal(convert(official)[0], state)


# --- detection

KINDS = ('faster', 'mask', 'cascade', 'cascade-mask')


def official_detector(model, neck=True):
    """A state dict as HRNet-Object-Detection names it, background first, made from the names of mmdet's model."""
    keys = {}
    for key, shape in names_of(model).items():
        new = key.removeprefix('roi_head.')
        if neck:
            new = new.replace('neck.reduction_conv.conv', 'neck.reduction_conv.0')
            new = re.sub(r'neck\.fpn_convs\.(\d+)\.conv', r'neck.fpn_conv.\1', new)
        per_class = 1 if 'conv_logits' in key else 4 if 'bbox_head.fc_reg' in key else 0
        keys[new] = (shape[0] + per_class, *shape[1:]) if per_class else shape
    return filled(keys)


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
    equal(convert(back)[0], converted)


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


@pytest.mark.parametrize('levels', [3, 6])
def test_fcos_of_any_shape(levels):
    model = frameworks.fcos(TINY, num_classes=3, channels=32, levels=levels, stride=1, stacked_convs=2)
    state = fill(model).state_dict()
    official, report = convert(state, target='official-fcos')
    assert official[f'rpn.head.scales.{levels - 1}.scale'].shape == (1,)
    assert 'rpn.head.cls_tower.4.bias' in official
    assert len(report.reshaped) == levels
    equal(convert(official)[0], state)
    unbiased = {key: value for key, value in state.items() if not re.search(r'(cls|reg)_convs\.\d\.conv\.bias', key)}
    padded, report = convert(unbiased, target='official-fcos')
    assert padded.keys() == official.keys()
    assert sorted(report.added) == sorted(f'rpn.head.{t}_tower.{i}.bias' for t in ('cls', 'bbox') for i in (0, 3))
    v1 = {re.sub(r'conv_(cls|reg|centerness)', r'fcos_\1', key): value for key, value in state.items()}
    assert recognise(v1) == 'mmdet-v1'
    equal(convert(v1)[0], state)


# --- Paddle


def paddle_names(width):
    """Names and shapes as PaddleClas's ``HRNet`` makes them, written from its constructors."""
    keys = {}

    def layer(name, c_in, c_out, kernel):
        keys[f'{name}._conv.weight'] = (c_out, c_in, kernel, kernel)
        for entry in ('weight', 'bias', '_mean', '_variance'):
            keys[f'{name}._batch_norm.{entry}'] = (c_out,)

    def bottleneck(name, c_in, c, down):
        for i, (a, b, k) in enumerate(((c_in, c, 1), (c, c, 3), (c, 4 * c, 1)), start=1):
            layer(f'{name}.conv{i}', a, b, k)
        if down:
            layer(f'{name}.conv_down', c_in, 4 * c, 1)

    layer('conv_layer1_1', 3, 64, 3)
    layer('conv_layer1_2', 64, 64, 3)
    for i in range(4):
        bottleneck(f'layer1.{i}', 64 if i == 0 else 256, 64, i == 0)
    widths = [width << i for i in range(4)]
    layer('tr1_1', 256, widths[0], 3)
    layer('tr1_2', 256, widths[1], 3)
    layer('tr2', widths[1], widths[2], 3)
    layer('tr3', widths[2], widths[3], 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for m in range(modules):
            name = f'st{stage}.stage_func_list.{m}'
            for b in range(stage):
                for k in range(4):
                    for conv in (1, 2):
                        layer(f'{name}.basic_block_list.{b}.{k}.conv{conv}', widths[b], widths[b], 3)
            n = 0
            for i in range(stage):
                for j in range(stage):
                    steps = [widths[j]] * (i - j) + [widths[i]]
                    for a, b in pairwise(steps) if j < i else [(widths[j], widths[i])] * (j > i):
                        layer(f'{name}.fuse_func.residual_func_list.{n}', a, b, 3 if j < i else 1)
                        n += 1
    for i, c in enumerate((32, 64, 128, 256)):
        bottleneck(f'last_cls.func_list.{i}', widths[i], c, True)
    for i, c in enumerate((128, 256, 512)):
        layer(f'cls_head_conv_list.{i}', c, 2 * c, 3)
    layer('conv_last', 1024, 2048, 1)
    keys |= {'out.weight': (2048, 1000), 'out.bias': (1000,)}
    return keys


@pytest.mark.parametrize('width', [18, 60])
def test_paddle(width):
    keys = paddle_names(width)
    state = {key: torch.full((), float(i)).expand(shape) for i, (key, shape) in enumerate(keys.items())}
    assert recognise(state) == 'paddle'
    converted, report = convert(state)
    assert report.reshaped == ('head.fc.weight',)
    assert arch_of(converted) == HRNetArch.from_width(width)
    with torch.device('meta'):
        model = frameworks.classifier(HRNetArch.from_width(width))
    check_against(converted, model)
    assert float(converted['backbone.bn1.running_var'].flatten()[0]) == list(keys).index(
        'conv_layer1_1._batch_norm._variance'
    )
    extra = 'st2.stage_func_list.0.basic_block_list.0.0.se.squeeze.weight'
    with pytest.raises(ValueError, match=rf'unknown keys \(1\): {re.escape(extra)}'):
        convert({**state, extra: torch.zeros(1)})
    lost = 'st4.stage_func_list.2.fuse_func.residual_func_list.5._batch_norm._mean'
    with pytest.raises(ValueError, match=rf'missing keys \(1\): {re.escape(lost)}'):
        convert({key: value for key, value in state.items() if key != lost})


# --- errors of the wrong model


def test_wrong_width_and_classes():
    state = convert(stored('seg_w18_20'))[0]
    with pytest.raises(ValueError, match='does not fit the EncoderDecoder') as error:
        check_against(state, frameworks.segmentor('w18', 19))
    assert 'classes: expected 19, found 20' in str(error.value)
    assert 'shapes that differ (2): decode_head.conv_seg.weight: expected (19, 270, 1, 1)' in str(error.value)
    with torch.device('meta'):
        wide = HRNet('w32')
    with pytest.raises(ValueError, match='width: expected 32, found 18'):
        check_against({k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}, wide)
    with pytest.raises(ValueError, match=r'unknown keys \(2\): .*\nmissing keys \(1\): backbone\.conv1\.weight'):
        model = frameworks.segmentor('w18', 20)
        odd = {**state, 'a': torch.zeros(1), 'b': torch.zeros(1)}
        odd.pop('backbone.conv1.weight')
        check_against(odd, model)


def test_every_format_is_in_these_tests():
    tested = {*REFERENCES.values(), 'timm', 'timm-ssld', 'mmdet-v1', 'official-seg-abn', 'paddle', 'openmmlab'}
    assert tested == set(FORMATS)
