"""mmpretrain's tools on a classifier, each as a user runs it, on the digits."""

import json
import re
import warnings

import cv2
import numpy as np
import pytest
import torch

from hrnet_plugins.recipes import framework_tool, model_of, recipes
from tests.helpers.networks import fill
from tests.helpers.processes import run

FEW = ['train_dataloader.dataset.indices=96', 'val_dataloader.dataset.indices=60', 'test_dataloader.dataset.indices=60']


@pytest.fixture(scope='module')
def trained(once, digits, digits_classifier):
    """The checkpoint of one short epoch, made by ``hrnet-plugins train`` from a folder that is not ours."""

    def train(work):
        options = ['--work-dir', work, '--cfg-options', *FEW, 'train_cfg.max_epochs=1']
        run(digits, 'train', digits_classifier, *options, module='hrnet_plugins.cli')

    return once('classifier', train) / 'epoch_1.pth'


def test_training_leaves_metrics(trained):
    (scalars,) = trained.parent.glob('*/vis_data/scalars.json')
    assert 'accuracy/top1' in json.loads(scalars.read_text().splitlines()[-1])


def test_checkpoint_tests(trained, digits, digits_classifier):
    options = ['--work-dir', digits / 'tested', '--out', digits / 'scores.pkl', '--cfg-options', *FEW]
    run(digits, 'test', digits_classifier, trained, *options, module='hrnet_plugins.cli')
    (metrics,) = (digits / 'tested').glob('*/*.json')
    assert 'accuracy/top1' in json.loads(metrics.read_text())
    assert (digits / 'scores.pkl').stat().st_size > 0


def test_inferencer(trained, digits, digits_classifier):
    from mmpretrain import ImageClassificationInferencer  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of rich's progress bar and of saved files without class names
        classify = ImageClassificationInferencer(str(digits_classifier), pretrained=str(trained), device='cpu')
        pictures = [str(next((digits / 'data/digits/classification/val' / d).glob('*.png'))) for d in '07']
        results = classify(pictures, batch_size=2)
    for result in results:
        assert result['pred_scores'].shape == (10,)
        assert result['pred_scores'].sum() == pytest.approx(1, abs=1e-5)
        assert result['pred_class'] == str(result['pred_label']) == str(np.argmax(result['pred_scores']))


def test_inferencer_takes_named_weights(tmp_path, monkeypatch):
    from mmpretrain import ImageClassificationInferencer  # noqa: PLC0415

    recipe = recipes()['hrnet-w18-small-v1_100e_in1k']
    state = fill(model_of(recipe)).state_dict()
    torch.save(state, tmp_path / 'cls_w18_small_v1.pth')
    monkeypatch.setenv('HRNET_PLUGINS_WEIGHTS', str(tmp_path))
    classify = ImageClassificationInferencer(str(recipe), pretrained='hrnet://cls_w18_small_v1', device='cpu')
    assert all(torch.equal(value, state[key]) for key, value in classify.model.state_dict().items())
    (pooled,) = classify.model.extract_feat(torch.zeros(1, 3, 224, 224))
    assert pooled.shape == (1, 2048)


def test_grad_cam(trained, digits, digits_classifier):
    pytest.importorskip('pytorch_grad_cam', reason='grad-cam is not installed')
    picture = next((digits / 'data/digits/classification/val/3').glob('*.png'))
    out = digits / 'cam.png'
    tool = framework_tool('mmpretrain', 'visualization/vis_cam')
    layer = 'neck.0.final_layer'
    run(digits, tool, picture, digits_classifier, trained, '--target-layers', layer, '--save-path', out)
    seen = cv2.imread(str(out)).astype(float)
    assert seen.shape == (64, 64, 3)
    assert np.abs(seen - cv2.imread(str(picture))).mean() > 5, 'a heat map over the picture'


def test_get_flops(digits):
    tool = framework_tool('mmpretrain', 'analysis_tools/get_flops')
    text = run(digits, tool, recipes()['hrnet-w18-small-v1_100e_in1k'])
    # The table's 1.49 are of 2^30; the tool leaves the head's linear layer out.
    assert float(re.search(r'Flops: (\d+\.\d+)G', text)[1]) == pytest.approx(1.49 * 2**30 / 1e9, rel=0.05)
    assert re.search(r'Params: 13\.18\dM', text)
