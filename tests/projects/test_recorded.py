"""What is recorded of the digits recipes: every recipe, as good and as quick as is said of it."""

import json

import pytest

from tests.helpers.paths import ROOT

FOLDER = ROOT / 'benchmarks' / 'digits'
RECIPES = [path.stem.removesuffix('_digits') for path in sorted((ROOT / 'projects' / 'digits').glob('*_digits.py'))]
BARS = {
    'faster-rcnn_hrnetv2p-w18-small-v1_6e': ({'coco/bbox_mAP': 0.75}, 15),
    'mask-rcnn_hrnetv2p-w18-small-v1_5e': ({'coco/bbox_mAP': 0.70, 'coco/segm_mAP': 0.70}, 10),
    'fcos_hrnetv2p-w18-small-v1_6e': ({'coco/bbox_mAP': 0.65}, 10),
    'fcn_hrnetv2-w18-small-v1_6e': ({'mIoU': 75}, 8),
    'ocr_hrnetv2-w18-small-v1_6e': ({'mIoU': 75}, 8),
    'hrnet-w18-small-v1_5e': ({'accuracy/top1': 97}, 3),
}
"""The least score and the most minutes on two cores, of the recipes that have to reach some."""
COLUMNS = {'coco/bbox_mAP': 3, 'coco/segm_mAP': 3, 'mIoU': 1, 'accuracy/top1': 1}
"""The scores that the page shows, and their decimals."""


def metrics_of(name):
    return json.loads((FOLDER / name / 'metrics.json').read_text())


@pytest.mark.parametrize('name', RECIPES)
def test_page_says_what_was_recorded(name):
    metrics = metrics_of(name)
    page = (FOLDER / 'README.md').read_text().splitlines()
    (row,) = [line for line in page if line.startswith(f'| [{name}]({name}/')]
    *_, scores, minutes, _ = (cell.strip() for cell in row.split('|'))
    assert scores == ', '.join(f'{metrics[key]:.{digits}f}' for key, digits in COLUMNS.items() if key in metrics)
    assert float(minutes) == pytest.approx(metrics['training_minutes'], abs=0.051)
    assert {'machine', 'versions', 'commit'} <= metrics.keys()
    assert 'dirty' not in metrics['commit']
    assert (FOLDER / name / 'curves.png').exists()


@pytest.mark.parametrize('name', BARS)
def test_scores_and_times_are_what_they_have_to_be(name):
    metrics = metrics_of(name)
    scores, minutes = BARS[name]
    assert all(metrics[key] >= least for key, least in scores.items())
    assert metrics['training_minutes'] <= minutes


def test_ocr_is_no_worse_than_the_plain_head():
    plain, ocr = (metrics_of(f'{method}_hrnetv2-w18-small-v1_6e')['mIoU'] for method in ('fcn', 'ocr'))
    assert ocr >= plain


@pytest.mark.parametrize('name', ['cascade-rcnn_hrnetv2p-w18-small-v1_3e', 'htc_hrnetv2p-w18-small-v1_3e'])
def test_later_epochs_improve(name):
    first, *_, last = metrics_of(name)['validations']
    assert all(last[key] > score for key, score in first.items())
