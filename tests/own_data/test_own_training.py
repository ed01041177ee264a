"""What `new` writes trains and validates, unchanged, in the real runner: one of each method, two steps."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from hrnet_plugins.data import Machine, Options, new
from tests.helpers.own_sets import (
    coco_annotations,
    folders_split,
    labelme_flat,
    masks_camvid,
    sets,
    voc_main,
    yolo_images,
)

CPU = Machine(cores=2)
RECIPES = {
    'faster-rcnn_hrnetv2p-w18_1x_coco': voc_main,
    'faster-rcnn_hrnetv2p-w18-syncbn-resizecrop_1x_coco': yolo_images,
    'mask-rcnn_hrnetv2p-w18_1x_coco': coco_annotations,
    'cascade-rcnn_hrnetv2p-w18_20e_coco': yolo_images,
    'cascade-mask-rcnn_hrnetv2p-w18_20e_coco': coco_annotations,
    'htc_hrnetv2p-w18_20e_coco': coco_annotations,
    'fcos_hrnetv2p-w18_1x_coco': labelme_flat,
    'fcos_hrnetv2p-w18-6l-syncbn-ms_2x_coco': voc_main,
    'fcn_hrnetv2-w18-small-v1_484e_cityscapes-512x1024': masks_camvid,
    'ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024': masks_camvid,
    'hrnet-w18-small-v1_100e_in1k': folders_split,
    'hrnet-w18-cutmix_300e_in1k': folders_split,
}
QUICK = (
    'faster-rcnn_hrnetv2p-w18_1x_coco',
    'fcos_hrnetv2p-w18-6l-syncbn-ms_2x_coco',
    'ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024',
    'hrnet-w18-small-v1_100e_in1k',
)
SCORES = {'mmdet': ('coco/bbox_mAP', 'pascal_voc/mAP'), 'mmseg': ('mIoU',), 'mmpretrain': ('accuracy/top1',)}


class Record(Hook):
    """Keep the losses of every step and the scores of every validation."""

    def __init__(self):
        self.losses, self.scores = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items()})

    def after_val_epoch(self, runner, metrics=None):
        self.scores.append(metrics)


@pytest.mark.filterwarnings('ignore::UserWarning')  # of the frameworks, about schedules of two steps
@pytest.mark.parametrize(
    ('name', 'heads'),
    [
        pytest.param(name, heads, marks=[] if name in QUICK and heads == 'small' else pytest.mark.slow)
        for name in RECIPES
        for heads in ('small', 'full')
    ],
)
def test_each_method_trains_and_validates(name, heads, tmp_path):
    layout = RECIPES[name]
    layout(tmp_path / 'data', *([] if layout is folders_split else [sets(4, 2, 2)]))
    options = Options(epochs=1, batch=2, size=96)
    path = new(
        tmp_path / 'own.py',
        data=tmp_path / 'data',
        recipe=name,
        arch='w18_small_v1',
        machine=CPU,
        from_scratch=True,
        heads=heads,
        options=options,
    )
    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'run')
    cfg.experiment_name = f'{name}_{heads}'
    cfg.log_level = 'ERROR'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].update(num_workers=0, persistent_workers=False)
    if 'fcos' in name:  # after two steps no score is above the usual threshold
        cfg.model.test_cfg.score_thr = -1.0
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        runner = Runner.from_cfg(cfg)
        record = Record()
        runner.register_hook(record)
        runner.train()
        tested = runner.test()
    MMLogger.get_current_instance().setLevel('WARNING')
    assert len(record.losses) >= 2
    assert all(math.isfinite(value) for losses in record.losses for value in losses.values()), record.losses
    assert any('mask' in loss for loss in record.losses[0]) == ('mask' in name or name.startswith('htc'))
    assert 'loss_semantic_seg' not in record.losses[0]
    expected = SCORES[cfg.default_scope]
    assert any(score in record.scores[0] for score in expected) and any(score in tested for score in expected)
    best = cfg.default_hooks.checkpoint.save_best
    assert best in record.scores[0]
    assert list((tmp_path / 'run').glob('best_*.pth')), 'the best checkpoint was not kept'
    stop = next(hook for hook in cfg.custom_hooks if hook.type == 'EarlyStoppingHook')
    assert stop.monitor == best
