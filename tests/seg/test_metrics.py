"""The published mean IoU beside mmseg's, and label files for a test server."""

import numpy as np
import pytest
import torch
from PIL import Image

from hrnet_plugins.seg.datasets import CityscapesDataset
from hrnet_plugins.seg.metrics import LabelFiles, PublishedIoU


def samples(labels, predictions):
    """What the runner hands to a metric."""
    return [
        dict(gt_sem_seg=dict(data=torch.tensor(a)[None]), pred_sem_seg=dict(data=torch.tensor(b)[None]), img_path='x')
        for a, b in zip(labels, predictions)
    ]


def as_published(labels, predictions, classes):
    """A plain reading of the official code: a confusion matrix over all images, absent classes zero."""
    matrix = np.zeros((classes, classes))
    for label, prediction in zip(labels, predictions):
        valid = label != 255
        np.add.at(matrix, (label[valid], prediction[valid]), 1)
    hits = np.diag(matrix)
    return (hits / np.maximum(1, matrix.sum(0) + matrix.sum(1) - hits)).mean() * 100


@pytest.mark.parametrize('present', [4, 3], ids=['all classes', 'one absent'])
def test_published_iou(present):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, present, (3, 6, 7))
    predictions = np.where(rng.random(labels.shape) < 0.7, labels, rng.integers(0, present, labels.shape))
    labels[:, 0] = 255
    metric = PublishedIoU(iou_metrics=['mIoU'])
    metric.dataset_meta = dict(classes=tuple('abcd'))
    metric.process({}, samples(labels, predictions))
    found = metric.compute_metrics(metric.results)
    assert found['mIoU_published'] == pytest.approx(as_published(labels, predictions, 4), abs=0.006)
    # mmseg leaves out a class that does not occur.
    assert found['mIoU_published'] == pytest.approx(found['mIoU'] * present / 4, abs=0.011)


@pytest.mark.parametrize(
    ('chosen', 'labels'),
    [(None, [[0, 18], [13, 2]]), (dict(classes=('building', 'car', 'road', 'bicycle')), [[2, 3], [1, 0]])],
    ids=['all classes', 'a choice'],
)
def test_label_files_have_the_servers_values(chosen, labels, tmp_path):
    metric = LabelFiles(output_dir=str(tmp_path / 'out'))
    metric.dataset_meta = CityscapesDataset._load_metainfo(chosen)
    (sample,) = samples([[[0]]], [labels])
    sample['img_path'] = 'leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png'
    metric.process({}, [sample])
    written = np.asarray(Image.open(tmp_path / 'out' / 'berlin_000000_000019_leftImg8bit.png'))
    assert written.tolist() == [[7, 33], [26, 11]]
    assert metric.compute_metrics(metric.results) == {}
