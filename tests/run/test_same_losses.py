"""Twenty training steps of a detector with mmdet's HRNet and with ours, from the same weights on the same data."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from hrnet_plugins import ARCHS
from tests.helpers.configs import config_of
from tests.helpers.networks import extra_of

STEPS = 20


class Record(Hook):
    """Keep the losses of every step."""

    def __init__(self):
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: float(value) for name, value in outputs.items() if 'loss' in name})


def train(cfg, backbone, weights, name):
    cfg = cfg.copy()
    cfg.model.backbone = dict(backbone, norm_eval=False)
    cfg.work_dir = str(weights.parent / name)
    cfg.load_from = str(weights)
    cfg.experiment_name = name
    runner = Runner.from_cfg(cfg)
    record = Record()
    runner.register_hook(record)
    runner.train()
    return record.losses


@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about this shortened schedule
def test_same_losses_as_mmdets_backbone(digits, digits_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(digits)
    cfg = config_of(digits_recipe)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=STEPS)
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg[key] = None
    cfg.param_scheduler = None
    cfg.log_level = 'ERROR'
    cfg.randomness = dict(seed=0, deterministic=False)
    init_default_scope('mmdet')
    from mmdet.registry import MODELS  # noqa: PLC0415

    ours = dict(type='hrnet_plugins.HRNet', arch='w18_small_v1')
    theirs = dict(type='mmdet.HRNet', extra=extra_of(ARCHS['w18_small_v1']))
    torch.manual_seed(0)
    weights = tmp_path / 'initial.pth'
    torch.save(MODELS.build(cfg.model).state_dict(), weights)
    a, b = (train(cfg, backbone, weights, name) for name, backbone in (('ours', ours), ('theirs', theirs)))
    MMLogger.get_current_instance().setLevel('WARNING')
    assert len(a) == len(b) == STEPS
    for step, (losses, expected) in enumerate(zip(a, b)):
        assert losses == pytest.approx(expected, rel=1e-4, abs=1e-6), step
    assert a[0] != a[-1]
