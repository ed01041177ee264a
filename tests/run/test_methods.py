"""Each detection method trains and tests with its real pipeline, on four small scenes in COCO's layout."""

import json
import math
import shutil

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hrnet_plugins.models import HRNet
from hrnet_plugins.recipes import recipes
from tests.helpers.configs import config_of
from tests.helpers.networks import TINY, fit_statistics

SCENES = 4
PIPELINE = 'train_dataloader.dataset.pipeline.2'
SMALL = {
    f'{PIPELINE}.scale': (160, 96),
    'val_dataloader.dataset.pipeline.1.scale': (160, 96),
    'test_dataloader.dataset.pipeline.1.scale': (160, 96),
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'train_cfg.max_epochs': 1,
    'default_hooks.logger.interval': 1,
    'log_level': 'ERROR',
    'randomness.seed': 0,
}
NO_THRESHOLD = -1.0  # below zero, the score that an untrained head may give everything but the background
ROI = {
    'model.train_cfg.rpn_proposal.max_per_img': 100,
    'model.test_cfg.rpn.max_per_img': 50,
    'model.test_cfg.rcnn.score_thr': NO_THRESHOLD,
    'model.test_cfg.rcnn.max_per_img': 10,
}
ONE_STAGE = {**ROI, 'model.train_cfg.rcnn.sampler.num': 64}
CASCADE = {**ROI, **{f'model.train_cfg.rcnn.{stage}.sampler.num': 64 for stage in range(3)}}
FCOS = {'model.test_cfg.score_thr': NO_THRESHOLD, 'model.test_cfg.nms_pre': 100, 'model.test_cfg.max_per_img': 10}
CHOICE = {f'{PIPELINE}.scales': [(160, 96), (128, 64), (160, 128)], f'{PIPELINE}.scale': None}
BY_ITERATION = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_cfg.max_epochs': None}
RANGE = {f'{PIPELINE}.scale': [(160, 96), (160, 128)]}
PAD = 'model.data_preprocessor.batch_augments.0'
METHODS = {
    'faster-rcnn_hrnetv2p-w18_1x_coco': ONE_STAGE,
    'faster-rcnn_hrnetv2p-w18-syncbn_1x_coco': ONE_STAGE,
    'faster-rcnn_hrnetv2p-w18-syncbn-ms_1x_coco': {
        **ONE_STAGE, **CHOICE, f'{PAD}.long_side': 192, f'{PAD}.short_side': 160,
    },
    'faster-rcnn_hrnetv2p-w18-syncbn-resizecrop_1x_coco': {
        **ONE_STAGE, **CHOICE, f'{PIPELINE}.crop': (120, 80), f'{PAD}.long_side': 128, f'{PAD}.short_side': 96,
    },
    'mask-rcnn_hrnetv2p-w18_1x_coco': ONE_STAGE,
    'cascade-rcnn_hrnetv2p-w18_20e_coco': CASCADE,
    'cascade-mask-rcnn_hrnetv2p-w18_20e_coco': CASCADE,
    'htc_hrnetv2p-w18_20e_coco': CASCADE,
    'fcos_hrnetv2p-w18_1x_coco': FCOS,
    'fcos_hrnetv2p-w18-ms_2x_coco': {**FCOS, **CHOICE},
    'fcos_hrnetv2p-w18-5l_2x_coco': {**FCOS, **BY_ITERATION},
    'fcos_hrnetv2p-w18-6l-syncbn-ms_2x_coco': {**FCOS, **BY_ITERATION, **RANGE},
    'fcos_r50-6l_2x_coco': {**FCOS, **BY_ITERATION, 'model.backbone.init_cfg': None},
}  # fmt: skip
MASKS = ('mask', 'htc')
QUICK = (
    'faster-rcnn_hrnetv2p-w18-syncbn_1x_coco',
    'mask-rcnn_hrnetv2p-w18_1x_coco',
    'htc_hrnetv2p-w18_20e_coco',
    'fcos_hrnetv2p-w18-5l_2x_coco',
)
"""The methods that share least with each other; all of them take minutes."""


class Record(Hook):
    """Keep the losses of every step and the scores of every validation."""

    def __init__(self):
        self.losses, self.scores = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items()})

    def after_val_epoch(self, runner, metrics=None):
        self.scores.append(metrics)


@pytest.fixture(scope='module')
def coco(digits, tmp_path_factory):
    """A folder to run in, with four scenes of digits in ``data/coco``, stuff maps too, in COCO's layout and names."""
    from mmdet.datasets import CocoDataset  # noqa: PLC0415

    folder = tmp_path_factory.mktemp('coco')
    source, root = digits / 'data' / 'digits', folder / 'data' / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        scenes = json.loads((source / 'annotations' / f'{split}.json').read_text())
        images = scenes['images'][:SCENES]
        ids = {image['id'] for image in images}
        content = dict(
            images=images,
            annotations=[a for a in scenes['annotations'] if a['image_id'] in ids],
            categories=[dict(id=i + 1, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'])],
        )
        (root / 'annotations' / f'instances_{split}2017.json').write_text(json.dumps(content))
        for image in images:
            for kind, target in ((split, f'{split}2017'), (f'semantic/{split}', f'stuffthingmaps/{split}2017')):
                (root / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(source / kind / image['file_name'], root / target)
    return folder


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """A folder that stands in for the published weights of W18: a tiny network's, with statistics that fit them."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    model = fit_statistics(HRNet(TINY), torch.randn(4, 3, 96, 96))
    torch.save(model.state_dict(), folder / 'w18.pth')
    return folder


@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about schedules cut to two steps
@pytest.mark.parametrize('name', [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in METHODS])
def test_method_trains_and_tests(name, coco, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(coco)
    monkeypatch.setenv('HRNET_PLUGINS_WEIGHTS', str(weights))
    cfg = config_of(recipes()[name])
    options = {**SMALL, **METHODS[name]}
    if 'hrnet' in name:
        cfg.model.backbone.arch, cfg.model.neck.in_channels = TINY, list(TINY.channels)
    cfg.merge_from_dict({key: value for key, value in options.items() if value is not None or 'init_cfg' in key})
    if options['train_cfg.max_epochs'] is None:
        cfg.train_cfg.pop('max_epochs')
    if f'{PIPELINE}.scales' in options:
        cfg.train_dataloader.dataset.pipeline[2].pop('scale')
    cfg.work_dir = str(tmp_path)
    cfg.experiment_name = name
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        record = Record()
        runner.register_hook(record)
        runner.train()
        scores = runner.test()
    MMLogger.get_current_instance().setLevel('WARNING')
    assert len(record.losses) == 2
    assert all(math.isfinite(value) for losses in record.losses for value in losses.values()), record.losses
    assert any('mask' in loss for loss in record.losses[0]) == any(word in name for word in MASKS)
    assert ('loss_semantic_seg' in record.losses[0]) == name.startswith('htc')
    metrics = ['coco/bbox_mAP'] + ['coco/segm_mAP'] * any(word in name for word in MASKS)
    for found in (record.scores[-1], scores):
        assert all(metric in found for metric in metrics)
    if 'hrnet' in name:
        check_norms(runner.model.backbone, torch.load(weights / 'w18.pth', weights_only=True), 'syncbn' in name)


def check_norms(backbone, before, learns_statistics):
    after = backbone.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    means = {key for key in before if 'running_mean' in key}
    assert changed & means == (means if learns_statistics else set())
    assert any(key.endswith('bn1.weight') for key in changed), 'scales and shifts learn in both'
