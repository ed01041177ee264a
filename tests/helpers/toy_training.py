"""A training of seconds with everything that checkpoints are about, in a process that can be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import hrnet_plugins.training  # noqa: F401, registers the hooks


class Toy(BaseModel):
    """A layer of a megabyte, and a loss that draws random numbers, as detectors' samplers do."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(512, 256)

    def forward(self, inputs: Any, mode: str = 'tensor') -> Any:
        x = self.backbone(torch.stack(list(inputs)))
        if mode == 'loss':
            return dict(loss=(x * torch.rand_like(x)).square().mean())
        return [x]


class Losses(Hook):
    """Writes each iteration's loss."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        with self.path.open('a') as file:
            file.write(f'{runner.iter} {float(outputs["loss"]):.8f}\n')


def runner(work: Path, *, epochs: int = 3, hook: str = 'hrnet_plugins.CheckpointHook', **changes: Any) -> Runner:
    """A runner that resumes what is in its folder, with one checkpoint kept."""
    torch.manual_seed(0)  # for the model, which is made before the runner seeds anything
    pictures = torch.randn(12, 512, generator=torch.Generator().manual_seed(0))
    data = [dict(inputs=picture) for picture in pictures]
    sampler = DefaultSampler(data, shuffle=True, seed=0)
    options: dict[str, Any] = dict(
        model=Toy(),
        work_dir=str(work),
        train_dataloader=dict(dataset=data, sampler=sampler, batch_size=4, num_workers=0),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type=hook, interval=1, max_keep_ckpts=1)),
        custom_hooks=[Losses(work / 'losses.txt')],
        randomness=dict(seed=0),
        resume=True,
        log_level='ERROR',
        experiment_name=f'toy{time.monotonic_ns()}',
    )
    return Runner(**{**options, **changes})


def train(work: Path, **options: Any) -> None:
    """Train to the end, as a program would."""
    warnings.simplefilter('ignore')
    torch.set_num_threads(1)
    work.mkdir(exist_ok=True)
    runner(work, **options).train()


def losses(work: Path) -> dict[int, str]:
    """The last loss of each iteration."""
    return dict(line.split() for line in (work / 'losses.txt').read_text().splitlines())  # type: ignore[misc]


def killed(work: Path, seconds: float, *, inside_save: bool = False, **options: Any) -> bool:
    """Train in another process and kill it: some time after its start, or so long after a save began.

    Returns:
        Whether it was killed before it had ended.
    """
    context = multiprocessing.get_context('fork')
    saving = context.Event()
    process = context.Process(target=_train_slowly, args=(work, saving, options))
    process.start()
    if inside_save:
        saving.wait(60)
    else:
        _wait_for(work / 'losses.txt', process)
    process.join(seconds)
    alive = process.is_alive()
    if alive and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def _train_slowly(work: Path, saving: Any, options: dict[str, Any]) -> None:
    save = torch.save

    def slow_save(*args: Any, **named: Any) -> None:
        saving.set()
        save(*args, **named)

    torch.save = slow_save
    train(work, **options)


def _wait_for(path: Path, process: Any) -> None:
    until = time.monotonic() + 60
    while not path.exists() and process.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
