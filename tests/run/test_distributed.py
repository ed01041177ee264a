"""Two processes train what one trains with the doubled batch, through mim and torchrun, and go on after a crash."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hrnet_plugins.recipes import framework_tool, model_of
from tests.helpers.paths import ROOT
from tests.helpers.processes import environment, free_port

pytestmark = pytest.mark.slow
RECIPE = ROOT / 'projects' / 'digits' / 'fcos_hrnetv2p-w18-small-v1_6e_digits.py'
# FCOS averages over what all processes found, and its group norms do not look at the batch; batch norms that did would
# see half of it in each process. SGD, since Adam turns rounding at tiny gradients into steps. Distances in pixels and
# small steps, since what multiplies rounding, boxes without overlap and a network without trained statistics, would
# hide a difference: so the two ways agree to 5e-5 of what they learn, else to a tenth.
OPTIONS = [
    'model.backbone.norm_eval=True',
    'model.bbox_head.norm_on_bbox=False',
    'train_dataloader.dataset.indices=24',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    'optim_wrapper.optimizer._delete_=True',
    'optim_wrapper.optimizer.type=SGD',
    'optim_wrapper.optimizer.lr=0.0001',
    'param_scheduler=None',
    'train_cfg.max_epochs=3',
    'train_cfg.val_interval=9',
    'default_hooks.checkpoint.max_keep_ckpts=-1',
]


def start(folder, work, batch, torchrun=False, resume=False):
    cfg_options = ['--cfg-options', *OPTIONS, f'train_dataloader.batch_size={batch}', f'load_from={folder}/initial.pth']
    arguments = ['--work-dir', str(work), *(['--resume'] if resume else [])]
    if torchrun:
        command = [
            sys.executable, '-m', 'torch.distributed.run', '--nproc-per-node=2', f'--master-port={free_port()}',
            str(framework_tool('mmdet', 'train')), str(RECIPE), '--launcher', 'pytorch', *arguments, *cfg_options,
            'runner_type=hrnet_plugins.GlooRunner',
        ]  # fmt: skip
    else:
        launcher = ['--launcher', 'pytorch', '--gpus', '2', '--port', str(free_port())] if batch == 2 else []
        command = [sys.executable, '-m', 'hrnet_plugins.cli', 'train', str(RECIPE), *launcher, *arguments, *cfg_options]
    with Path(f'{work}.log').open('w') as log:
        return subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment(OMP_NUM_THREADS='1')
        )


def log_of(work):
    return Path(f'{work}.log').read_text()


def finish(process, work):
    code = process.wait(timeout=500)
    assert code == 0, log_of(work)[-3000:]
    return learnt(work)


def learnt(work):
    return torch.load(work / 'epoch_3.pth', weights_only=False)['state_dict']


def step_between(state, initial):
    """All that training changed, as one vector."""
    return torch.cat([(state[key] - value).flatten() for key, value in initial.items() if value.is_floating_point()])


@pytest.fixture(scope='module')
def initial(digits):
    torch.manual_seed(0)
    state = model_of(RECIPE).state_dict()
    torch.save(dict(state_dict=state), digits / 'initial.pth')
    return state


@pytest.fixture(scope='module')
def one_process(once, digits, initial):
    """What one process learns from batches of four."""
    found = once('one-process', lambda folder: finish(start(digits, folder / 'work', 4), folder / 'work'))
    return step_between(learnt(found / 'work'), initial)


def assert_same_step(state, initial, expected):
    assert expected.norm() > 1e-3, 'it has learnt something'
    assert (step_between(state, initial) - expected).norm() <= 1e-3 * expected.norm()


@pytest.mark.parametrize('torchrun', [False, True], ids=['mim', 'torchrun'])
def test_two_processes_are_one_with_the_doubled_batch(digits, initial, one_process, torchrun):
    work = digits / ('torchrun' if torchrun else 'mim')
    assert_same_step(finish(start(digits, work, 2, torchrun=torchrun), work), initial, one_process)


def test_training_goes_on_after_a_process_is_killed(digits, initial, one_process):
    work = digits / 'killed'
    process = start(digits, work, 2)
    deadline = time.monotonic() + 400
    while not (work / 'last_checkpoint').exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    (victim,) = ranked(process.pid, '1')
    os.kill(victim, signal.SIGKILL)
    assert process.wait(timeout=120) != 0
    assert not (work / 'epoch_3.pth').exists(), 'killed before the end'
    state = finish(start(digits, work, 2, resume=True), work)
    assert 'resumed epoch' in log_of(work)
    assert_same_step(state, initial, one_process)


def ranked(ancestor, rank):
    """The processes below another that are this rank of a distributed training."""
    found, below = [], [ancestor]
    while below:
        pid = below.pop()
        process = Path(f'/proc/{pid}')
        below += [int(child) for child in (process / 'task' / str(pid) / 'children').read_text().split()]
        if f'\0RANK={rank}\0' in '\0' + (process / 'environ').read_text():
            found.append(pid)
    return found[:1]
