"""A detector's training that is resumed: the losses of an unbroken one, though its samplers draw random numbers."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from tests.helpers.configs import config_of

STEPS = 4
"""Of an epoch; two epochs are trained."""


class Record(Hook):
    """Keep the losses of every step, by its number."""

    def __init__(self):
        self.losses = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses[runner.iter] = {name: float(value) for name, value in outputs.items() if 'loss' in name}


def train(cfg, name, **changes):
    cfg = cfg.copy()
    cfg.merge_from_dict(dict(changes, experiment_name=name))
    torch.manual_seed(0)  # for the model
    runner = Runner.from_cfg(cfg)
    record = Record()
    runner.register_hook(record)
    runner.train()
    return record.losses


@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about this shortened schedule
@pytest.mark.parametrize('kept_at', ['epoch', 'iteration', 'iteration of a loop'])
def test_a_resumed_detector_has_the_losses_of_an_unbroken_one(digits, digits_recipe, tmp_path, monkeypatch, kept_at):
    monkeypatch.chdir(digits)
    cfg = config_of(digits_recipe)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.indices = 2 * STEPS
    cfg.model.backbone.norm_eval = False
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg[key] = None
    cfg.param_scheduler = None
    cfg.log_level = 'ERROR'
    cfg.randomness = dict(seed=0, deterministic=False)
    by_epoch = kept_at == 'epoch'
    cfg.default_hooks.checkpoint = dict(
        type='hrnet_plugins.CheckpointHook', by_epoch=by_epoch, interval=1 if by_epoch else STEPS + 1
    )
    if kept_at == 'iteration of a loop':
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2 * STEPS)
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
        cfg.train_dataloader.batch_sampler = None
    else:
        cfg.train_cfg = dict(by_epoch=True, max_epochs=2)
    whole = train(cfg, f'whole {kept_at}', work_dir=str(tmp_path / 'whole'))
    kept = 'epoch_1.pth' if by_epoch else f'iter_{STEPS + 1}.pth'
    checkpoint = str(tmp_path / 'whole' / kept)
    resumed = train(cfg, f'resumed {kept_at}', work_dir=str(tmp_path / 'resumed'), load_from=checkpoint, resume=True)
    MMLogger.get_current_instance().setLevel('WARNING')
    begin = STEPS if by_epoch else STEPS + 1
    assert list(whole) == list(range(2 * STEPS))
    assert list(resumed) == list(range(begin, 2 * STEPS))
    for step, losses in resumed.items():
        for name, value in losses.items():
            assert value == pytest.approx(whole[step][name], rel=1e-5, abs=1e-7), (step, name)
