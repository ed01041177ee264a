"""A detector finds the same digits with our operators as with mmcv's compiled ones."""

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from tests.mmcv_ops.cases import compiled, ours

OPTIONS = {
    'train_dataloader.dataset.indices': 320,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.dataset.indices': 5,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'test_dataloader.num_workers': 0,
    'test_dataloader.persistent_workers': False,
    'train_cfg.max_epochs': 1,
    'train_cfg.val_interval': 9,
    'log_level': 'ERROR',
}


class Keep(Hook):
    """Keep every image's predictions."""

    def __init__(self):
        self.found = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.found += [sample.pred_instances.clone() for sample in outputs]


@pytest.mark.slow
@pytest.mark.skipif(compiled() is None, reason='mmcv is not compiled here')
@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about a schedule that is cut short
@pytest.mark.parametrize('name', ['faster-rcnn_hrnetv2p-w18-small-v1_6e', 'mask-rcnn_hrnetv2p-w18-small-v1_5e'])
def test_digits_are_found_where_the_compiled_ones_find_them(name, digits, digits_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(digits)
    cfg = Config.fromfile(digits_recipe.with_name(f'{name}_digits.py'))
    cfg.merge_from_dict(OPTIONS)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), name
    scores, predictions = [], []
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        with ours():
            runner.train()
        keep = Keep()
        runner.register_hook(keep)
        scores.append(runner.test())
        predictions.append(keep.found)
        keep.found = []
        with ours():
            scores.append(runner.test())
        predictions.append(keep.found)
    MMLogger.get_current_instance().setLevel('WARNING')
    assert scores[0].keys() == scores[1].keys()
    assert all(abs(scores[0][key] - scores[1][key]) <= 0.002 for key in scores[0]), scores
    assert sum(map(len, predictions[0])) > 100, 'something was found'
    for theirs, mine in zip(*predictions, strict=True):
        assert torch.equal(theirs.labels, mine.labels)
        assert torch.allclose(theirs.bboxes, mine.bboxes, atol=1e-3)
        assert torch.allclose(theirs.scores, mine.scores, atol=1e-5)
        if 'masks' in theirs:
            assert (theirs.masks != mine.masks).float().mean() <= 1e-4 if len(theirs) else True
