"""Two-stage detectors of mmdet before 2.0 and of HRNet-Object-Detection: names, and the order of classes."""

import importlib.util
import tempfile

import pytest
import torch
import torch.nn.functional as F

from hrnet_plugins.recipes import framework_tool
from hrnet_plugins.weights import check_against, convert, recognise
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, filled, image
from tests.helpers.published import assert_same, mmdet1_names, names_of, official_detector

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


def test_hybrid_task_cascade():
    model = frameworks.two_stage('htc', TINY, num_classes=3)
    state = filled(mmdet1_names(names_of(model)))
    assert recognise(state) == 'mmdet-v1'
    converted, report = convert(state)
    assert report.dropped == ('mask_head.0.conv_res.conv.weight', 'mask_head.0.conv_res.conv.bias')
    check_against(converted, model)
    model.load_state_dict(converted)
    for key in ('weight', 'bias'):  # the stuff maps have no background
        new = converted[f'roi_head.semantic_head.conv_logits.{key}']
        assert torch.equal(new, state[f'semantic_head.conv_logits.{key}'])
    last = old = None
    for i, head in enumerate(model.roi_head.mask_head):
        x = image((2, 16, 14, 14), seed=i)
        logits, last = head(x, last)
        expected, old = _mask_head_of_mmdet1(state, f'mask_head.{i}.', x, old)
        assert_equal(last, old)
        assert_equal(logits, expected[:, 1:])


def _mask_head_of_mmdet1(state, name, x, last):
    """HTC's mask head written out: logits, the background's first, and what the next stage gets."""

    def conv(layer, x, **options):
        return F.conv2d(x, state[f'{name}{layer}.weight'], state[f'{name}{layer}.bias'], **options)

    if last is not None:
        x = x + conv('conv_res.conv', last).relu()
    for i in (0, 1):
        x = conv(f'convs.{i}.conv', x, padding=1).relu()
    upsampled = F.conv_transpose2d(x, state[f'{name}upsample.weight'], state[f'{name}upsample.bias'], stride=2)
    return conv('conv_logits', upsampled.relu()), x


CONFIGS = {
    'faster': 'rpn_head=dict(), bbox_head=dict()',
    'mask': 'rpn_head=dict(), bbox_head=dict()',
    'cascade': 'rpn_head=dict(), bbox_head=[dict()]',
    'cascade-mask': 'rpn_head=dict(), bbox_head=[dict()]',
    'htc': 'rpn_head=dict(), bbox_head=[dict()]',
    'fcos': "bbox_head=dict(type='FCOSHead')",
}


@pytest.mark.parametrize('kind', CONFIGS)
def test_mmdets_own_upgrade_rules(kind, monkeypatch, tmp_path):
    """The tool agrees but for its mistakes, which the tests above settle by what mmdet 1 computed.

    It turns every vector of classes, also where there is no background, and of vectors with a background it keeps the
    first classes where of matrices it keeps the last.
    """
    fcos = kind == 'fcos'
    model = frameworks.fcos(TINY, channels=32) if fcos else frameworks.two_stage(kind, TINY, num_classes=80)
    state = filled(mmdet1_names(names_of(model)))
    ours, _ = convert(state)
    meta = dict(config=f'\nmodel = dict({CONFIGS[kind]})\n', mmdet_version='1.0rc0')
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'old.pth')
    spec = importlib.util.spec_from_file_location(
        'upgrade', framework_tool('mmdet', 'model_converters/upgrade_model_version')
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    tool.convert(tmp_path / 'old.pth', tmp_path / 'new.pth', 81)
    theirs = torch.load(tmp_path / 'new.pth', weights_only=True)['state_dict']
    if fcos:  # renamed when its head loads
        theirs = {key.replace('.fcos_', '.conv_'): value for key, value in theirs.items()}

    mistaken = {'rpn_head.rpn_cls.bias', 'bbox_head.conv_cls.bias', 'roi_head.bbox_head.fc_reg.bias'}
    mistaken |= {key for key in ours if key.startswith('roi_head.mask_head.') and key.endswith('conv_logits.bias')}
    unused = {f'roi_head.mask_head.0.conv_res.conv.{entry}' for entry in ('weight', 'bias')}
    assert theirs.keys() - ours.keys() == (unused if kind == 'htc' else set())
    differing = {key for key, value in ours.items() if not torch.equal(value, theirs[key])}
    assert differing == mistaken & ours.keys()
    for key in differing:
        turned = key in ('rpn_head.rpn_cls.bias', 'bbox_head.conv_cls.bias')
        old = state[key.removeprefix('roi_head.').replace('bbox_head.conv_cls', 'bbox_head.fcos_cls')]
        classes = old.reshape(81, -1) if not turned else old
        assert torch.equal(theirs[key], classes.roll(-1) if turned else classes[:80].flatten())
        assert torch.equal(ours[key], classes if turned else classes[1:].flatten())


@pytest.mark.parametrize('scale', [(), (1,)], ids=str)
def test_fcos_as_mmdets_own_head_loads_it(scale):
    model, theirs = (frameworks.fcos(TINY, channels=32, num_classes=5) for _ in range(2))
    state = filled(mmdet1_names(names_of(model), scale))
    assert recognise(state) == 'mmdet-v1'
    theirs.load_state_dict({key: value.reshape(()) if 'scales' in key else value for key, value in state.items()})
    converted, report = convert(state)
    assert bool(report.reshaped) == bool(scale)
    check_against(converted, model)
    model.load_state_dict(converted)
    feats = model.extract_feat(image((1, 3, 256, 256)))
    for ours, expected in zip(model.bbox_head(feats), theirs.bbox_head(feats), strict=True):
        for a, b in zip(ours, expected, strict=True):
            assert torch.equal(a, b)
