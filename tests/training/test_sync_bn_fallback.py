"""Training a tiny network with synchronised batch norm on the CPU, alone, in two processes, and by GlooRunner."""

import os
import warnings
from types import SimpleNamespace

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.model.utils import _BatchNormXd
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn

import hrnet_plugins.registry  # noqa: F401
from hrnet_plugins.recipes import recipes
from hrnet_plugins.training import AnyDeviceDDP, GlooRunner, SyncBNFallbackHook
from tests.helpers.configs import config_of
from tests.helpers.processes import free_port

WORDS = 'train as plain batch norm'
STEPS = 4


class Tiny(BaseModel):
    """A convolution and a norm; the loss drives the output to one."""

    def __init__(self, norm=nn.SyncBatchNorm):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 1), norm(4), nn.ReLU(), nn.Conv2d(4, 1, 1))

    def forward(self, inputs, mode='tensor'):
        out = self.layers(torch.stack(list(inputs)) if isinstance(inputs, list) else inputs)
        return dict(loss=(out - 1).square().mean()) if mode == 'loss' else out


def images(rank=0):
    return torch.rand(2 * STEPS, 3, 8, 8, generator=torch.Generator().manual_seed(rank))


OURS = dict(type='hrnet_plugins.AnyDeviceDDP')


def train(work_dir, launcher='none', norm=nn.SyncBatchNorm, wrapper=OURS, kind=Runner):
    """Train and return the runner; the second half of the data is the second process's."""
    data = torch.cat([images(0), images(1)])
    runner = kind(
        model=Tiny(norm),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            dataset=[dict(inputs=image) for image in data],
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=STEPS),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[dict(type='hrnet_plugins.SyncBNFallbackHook')],
        default_hooks=dict(checkpoint=None, logger=None),
        launcher=launcher,
        cfg=dict(model_wrapper_cfg=wrapper),
        experiment_name=f'{os.path.basename(work_dir)}-{norm.__name__}',
        log_level='WARNING',
    )
    runner.train()
    return runner


def spawned(rank, work_dir, port):
    os.environ.update(LOCAL_RANK=str(rank))  # mmengine reads it
    warnings.simplefilter('ignore')
    # Before the runner, whose own way to start a process group asks for a GPU whatever the backend.
    torch.distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    runner = train(os.path.join(work_dir, str(rank)), launcher='pytorch')
    torch.save(runner.model.module.state_dict(), os.path.join(work_dir, f'{rank}.pth'))
    torch.distributed.destroy_process_group()


def run_two(work_dir):
    torch.multiprocessing.spawn(spawned, (str(work_dir), free_port()), nprocs=2)
    return [torch.load(work_dir / f'{rank}.pth') for rank in (0, 1)]


def logged(folder):
    return [line for path in folder.rglob('*.log') for line in path.read_text().splitlines() if WORDS in line]


def test_alone_says_so_once_and_trains(tmp_path):
    runner = train(tmp_path / 'sync')
    lines = logged(tmp_path)
    assert len(lines) == 1 and 'WARNING' in lines[0] and '1 synchronised batch norms' in lines[0]
    plain = train(tmp_path / 'plain', norm=nn.BatchNorm2d)
    for (name, a), b in zip(runner.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert len(logged(tmp_path)) == 1, 'nothing to say about plain batch norm'


def test_two_processes(tmp_path):
    ours = run_two(tmp_path)
    lines = logged(tmp_path)
    assert len(lines) == 1 and '2 processes' in lines[0]
    initial = Tiny().state_dict()
    for name in initial:
        if name.startswith('layers.1.running'):
            assert not torch.equal(ours[0][name], ours[1][name]), 'each its own statistics'
            assert not torch.equal(ours[0][name], initial[name])
        else:
            assert torch.equal(ours[0][name], ours[1][name]), f'{name}: DDP averages the gradients'
    expected = by_hand()
    for name, value in expected.items():
        assert torch.allclose(ours[0][name], value, atol=1e-6), f'{name}: the optimizer moves what trains'
        assert not torch.equal(value, initial[name])


def by_hand():
    """The same steps without mmengine: two copies with batch norm, gradients averaged."""
    replicas = [Tiny(nn.BatchNorm2d) for _ in range(2)]
    data = torch.cat([images(0), images(1)])
    for step in range(STEPS):
        for rank, replica in enumerate(replicas):
            replica.zero_grad()
            # the sampler deals images out in turn
            replica(data[rank::2][2 * step : 2 * step + 2], mode='loss')['loss'].backward()
        for a, b in zip(*(replica.parameters() for replica in replicas), strict=True):
            gradient = (a.grad + b.grad) / 2
            for parameter in (a, b):
                parameter.data.sub_(0.1 * gradient)
    return dict(replicas[0].named_parameters())


@pytest.mark.parametrize(
    ('norm', 'device', 'told'),
    [(_BatchNormXd, 'cpu', True), (_BatchNormXd, 'meta', False), (nn.BatchNorm2d, 'cpu', False)],
)
def test_says_nothing_elsewhere(norm, device, told, monkeypatch):
    lines = []
    monkeypatch.setattr('hrnet_plugins.training.sync_bn_fallback.print_log', lambda line, **_: lines.append(line))
    runner = SimpleNamespace(model=norm(4, device=device), logger='current', world_size=1)
    SyncBNFallbackHook().before_train(runner)
    assert [WORDS in line for line in lines] == [True] * told


@pytest.fixture
def only_process(monkeypatch):
    """A distributed training of this process alone."""
    places = dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1', MASTER_PORT=free_port())
    threads = dict(OMP_NUM_THREADS=1, MKL_NUM_THREADS=1)  # else mmengine warns that it sets them
    for name, value in {**places, **threads}.items():
        monkeypatch.setenv(name, str(value))
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ('wrapper', 'broadcasts', 'searches'),
    [
        (None, False, False),
        (dict(find_unused_parameters=True), True, True),
        (dict(type='MMDistributedDataParallel', broadcast_buffers=False), False, False),
        (dict(type='mmengine.MMDistributedDataParallel', find_unused_parameters=True), True, True),
        (OURS, False, False),
    ],
    ids=['none', 'no type', 'name', 'scope', 'ours'],
)
def test_gloo_runner_takes_configs_with_mmengines_wrapper(only_process, wrapper, broadcasts, searches, tmp_path):
    runner = train(tmp_path, 'pytorch', wrapper=wrapper and dict(wrapper), kind=GlooRunner)
    assert type(runner.model) is AnyDeviceDDP
    assert runner.model.broadcast_buffers == broadcasts
    assert runner.model.find_unused_parameters == searches


class Own(AnyDeviceDDP):
    """A wrapper of the user's own."""


def test_gloo_runner_leaves_other_wrappers(only_process, monkeypatch, tmp_path):
    monkeypatch.setitem(MODEL_WRAPPERS.module_dict, 'Own', Own)
    runner = train(tmp_path, 'pytorch', wrapper=dict(type='Own'), kind=GlooRunner)
    assert type(runner.model) is Own
    # A class is for configs in pure Python.
    assert type(runner.wrap_model(dict(type=MMDistributedDataParallel), Tiny())) is AnyDeviceDDP


@pytest.mark.parametrize('name', [name for name in recipes() if 'syncbn' in name])
def test_recipes_that_need_it_have_it(name):
    cfg = config_of(recipes()[name])
    assert cfg.model.backbone.norm_cfg.type == 'SyncBN'
    assert cfg.model_wrapper_cfg.type == 'hrnet_plugins.AnyDeviceDDP'
    assert dict(type='hrnet_plugins.SyncBNFallbackHook') in cfg.custom_hooks
