"""Exported files: any batch and size, PyTorch's outputs, the reason where there is none."""

import importlib.util
import math
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hrnet_plugins import cli
from hrnet_plugins.inference import EXPORT_FORMATS, Part, export, exportable_part
from hrnet_plugins.inference.exporting import TOLERANCE, compare, write
from hrnet_plugins.models import HRNet
from hrnet_plugins.recipes import model_of, recipes
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, fill, image

ONNX = EXPORT_FORMATS['onnx']

MODELS = {
    'classifier': lambda: frameworks.classifier(TINY, num_classes=7, out_channels=24, mid_channels=(8, 16, 24, 40)),
    'segmentor': lambda: frameworks.segmentor(TINY, 5),
    'ocr': lambda: frameworks.ocr_segmentor(TINY, 5, channels=16, ocr_channels=8),
    'faster': lambda: frameworks.two_stage('faster', TINY, num_classes=3),
    'fcos': lambda: frameworks.fcos(TINY, num_classes=3, channels=32, levels=6, stride=1, stacked_convs=1),
}
UNSEEN = {'faster': (1, 3, 301, 270), 'fcos': (1, 3, 301, 270)}
"""Sizes that the export itself did not check."""


def expected(kind, model, x):
    """What the framework itself computes."""
    if kind == 'classifier':
        return [model(x, mode='tensor')]
    if kind in ('segmentor', 'ocr'):
        meta = dict(ori_shape=x.shape[2:], img_shape=x.shape[2:], pad_shape=x.shape[2:])
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'When align_corners=True', UserWarning)  # mmseg's advice on sizes
            return [model.encode_decode(x, [meta] * len(x))]
    return list(model.extract_feat(x))


# Those of the same shape as another are slow.
@pytest.mark.parametrize(
    'kind', [pytest.param(kind, marks=pytest.mark.slow if kind in ('segmentor', 'faster') else ()) for kind in MODELS]
)
def test_onnx_gives_the_frameworks_outputs(kind, tmp_path):
    model = fill(MODELS[kind]()).eval()
    path = tmp_path / 'model.onnx'
    done = write(exportable_part(model), path, ONNX, facts={'recipe': kind})

    assert len(done.errors) == 3
    assert len({shape[0] for shape in done.errors}) > 1, 'more than one batch size'
    assert any(side % 2 for shape in done.errors for side in shape[2:]), 'one of them odd'
    assert all(error <= TOLERANCE for error in done.errors.values())
    assert [p.name for p in tmp_path.iterdir()] == ['model.onnx'], 'one file, weights included'

    file = onnx.load(path)
    assert f'ONNX opset {file.opset_import[0].version}' in str(done)
    assert {entry.key: entry.value for entry in file.metadata_props}['recipe'] == kind
    (given,) = file.graph.input
    sizes = [dim.dim_param or dim.dim_value for dim in given.type.tensor_type.shape.dim]
    assert (given.name, sizes) == ('images', ['batch', 3, 'height', 'width'])

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    x = image(UNSEEN.get(kind, (4, 3, 57, 75)), seed=1)
    with torch.no_grad():
        theirs = expected(kind, model, x)
    for out, b in zip(session.run(None, {'images': x.numpy()}), theirs, strict=True):
        assert_equal(torch.from_numpy(np.asarray(out)), b, TOLERANCE)


def test_detectors_heads_are_said_to_be_left_out():
    note = exportable_part(MODELS['faster']()).note
    assert 'backbone + neck' in note
    assert 'not in the file: rpn_head, roi_head' in note


def test_a_model_without_backbone_has_a_reason():
    with pytest.raises(ValueError, match=r'builds a Linear, which cannot be exported: only image classifiers'):
        exportable_part(nn.Linear(2, 2))


class Counting(nn.Module):
    """A neck whose operations depend on the pixels."""

    def forward(self, feats):
        return tuple(x[: int((x.mean() > 0).sum())] for x in feats)


def test_what_cannot_be_traced_has_a_reason(tmp_path):
    model = MODELS['classifier']()
    model.neck.insert(0, Counting())
    with pytest.raises(ValueError, match=r'cannot be exported, torch.export does not follow it: \w+: .*data-dependent'):
        write(exportable_part(model), tmp_path / 'a.onnx', ONNX, facts={})
    assert not list(tmp_path.iterdir())


class Halve(nn.Module):
    """The smallest thing to export."""

    def forward(self, images):
        return (images / 2,)


def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch):
    part = Part(Halve(), ('half',), 'half of the images', channels=3)
    assert write(part, tmp_path / 'kept.onnx', ONNX, facts={}).path.is_file()
    monkeypatch.setattr('hrnet_plugins.inference.exporting.TOLERANCE', -1.0)
    with pytest.raises(ValueError, match=r'ONNX Runtime outputs of a.onnx differ .*: the file is not kept'):
        write(part, tmp_path / 'a.onnx', ONNX, facts={})
    assert [path.name for path in tmp_path.iterdir()] == ['kept.onnx']


def test_outputs_that_are_not_finite_differ():
    part = Part(Halve(), ('half',), '', channels=3)
    assert set(compare(lambda images: (images / 0 * 0,), part).values()) == {math.inf}


@pytest.fixture(scope='module')
def digits_checkpoint(tmp_path_factory, digits_classifier):
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
    torch.save(dict(state_dict=fill(model_of(digits_classifier)).state_dict()), path)
    return path


def run(*args):
    return CliRunner().invoke(cli.main, ['export', *map(str, args)])


def test_command_prints_opset_and_outcome(digits_classifier, digits_checkpoint, tmp_path):
    out = tmp_path / 'folder' / 'digits.onnx'
    done = run(digits_classifier, digits_checkpoint, '--format', 'onnx', '--out', out)
    assert done.exit_code == 0, done.output
    assert f'{out}: ONNX opset ' in done.output
    for shape in ('1x3x224x224', '3x3x160x96', '2x3x97x131'):
        assert f'ONNX Runtime against PyTorch at {shape}: ' in done.output
    facts = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert facts['mean'] == '[127.5, 127.5, 127.5]'
    assert (facts['channels'], facts['recipe']) == ('RGB', digits_classifier.stem)


@pytest.mark.parametrize(
    ('recipe', 'options', 'message'),
    [
        ('hrnet-w18_100e_in1k', [], 'width: expected 18, found 16'),
        ('hrnet-w18_100e_in1k', ['--format', 'gif'], "`format` ('gif') is unknown; known: onnx"),
        ('hrnet-w19', [], 'did you mean'),
    ],
)
def test_mistakes_are_named(recipe, options, message, digits_checkpoint, tmp_path):
    done = run(recipe, digits_checkpoint, '--out', tmp_path / 'a.onnx', *options)
    assert done.exit_code == 1
    assert message in done.output
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(monkeypatch, digits_classifier, digits_checkpoint):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'onnxscript' else find(name))
    with pytest.raises(ValueError, match=r"needs onnxscript: pip install 'hrnet-plugins\[export\]'"):
        export(str(digits_classifier), str(digits_checkpoint))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'weights'),
    [
        ('hrnet-w18_100e_in1k', 'cls_w18'),
        ('faster-rcnn_hrnetv2p-w18_1x_coco', 'faster-rcnn_hrnetv2p-w18_1x_coco'),
    ],
)
def test_published_recipes_export_with_named_weights(name, weights, tmp_path, monkeypatch):
    torch.save(fill(model_of(recipes()[name])).state_dict(), tmp_path / f'{weights}.pth')
    monkeypatch.setenv('HRNET_PLUGINS_WEIGHTS', str(tmp_path))
    done = export(name, f'hrnet://{weights}', out=tmp_path / 'model.onnx')
    assert done.path.stat().st_size > 4 * sum(p.numel() for p in HRNet('w18').parameters())
