"""The line that shows progress, with a clock and a console of the tests' own; then in a runner."""

import io
import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from rich.console import Console
from torch import nn

from hrnet_plugins.live_line import FIRST, LONGEST, LiveLine
from hrnet_plugins.training import ProgressHook

ERASE = '\r\x1b[2K'


class Clock:
    """Seconds that pass when told so."""

    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    """A text file that says it is a terminal."""

    def isatty(self):
        return True


def console(file, width=60):
    return Console(file=file, width=width, force_terminal=file.isatty(), color_system=None, _environ={})


@pytest.fixture
def clock():
    return Clock()


def test_a_terminal_has_one_line_that_is_drawn_over(clock):
    out = Terminal()
    line = LiveLine(console=console(out), clock=clock)
    for text in ('one', 'two, too soon', 'three'):
        line.show(lambda: text)  # noqa: B023, called at once
        clock.now += 0.15
    line.clear()
    line.clear()
    assert out.getvalue() == f'{ERASE}one{ERASE}three{ERASE}'


def test_a_long_line_never_wraps(clock):
    out = Terminal()
    LiveLine(console=console(out, width=10), clock=clock).show(lambda: 'x' * 50)
    assert out.getvalue() == f'{ERASE}{"x" * 8}…'


def test_after_somebody_else_printed_the_line_is_back_at_once(clock):
    out = Terminal()
    line = LiveLine(console=console(out), clock=clock)
    line.show(lambda: 'one')
    line.make_way()
    out.write('log\n')
    line.show(lambda: 'two')
    assert out.getvalue() == f'{ERASE}one{ERASE}log\n{ERASE}two'


@pytest.mark.parametrize('file', [io.StringIO, Terminal])
def test_a_pipe_and_a_dumb_terminal_get_plain_lines_at_growing_intervals(clock, file):
    out = file()
    printer = Console(file=out, width=60, color_system=None, _environ={'TERM': 'dumb'})
    line = LiveLine(console=printer, clock=clock)
    start = clock.now
    for second in range(3000):
        clock.now = start + second
        line.show(lambda: f'{second} s')  # noqa: B023, called at once
    shown = [int(text.removesuffix(' s')) for text in out.getvalue().splitlines()]
    gaps = [b - a for a, b in zip([0, *shown], shown)]
    assert gaps[:6] == [FIRST * 2**i for i in range(6)]
    assert set(gaps[6:]) == {LONGEST}


def test_a_pipe_counts_silence_from_what_others_printed(clock):
    out = io.StringIO()
    line = LiveLine(console=console(out), clock=clock)
    clock.now += 4
    line.make_way()
    clock.now += 4
    line.show(lambda: 'not silent for 5 seconds')
    clock.now += 2
    line.show(lambda: 'now')
    assert out.getvalue() == 'now\n'


def test_text_is_not_made_where_it_is_not_shown(clock):
    LiveLine(console=console(io.StringIO()), clock=clock).show(lambda: pytest.fail('made'))


class Tiny(BaseModel):
    """One weight. Each step takes two seconds of the clock."""

    def __init__(self, clock):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.clock = clock

    def forward(self, inputs, mode='tensor'):
        self.clock.now += 2
        return dict(loss=(self.weight - 1).square().sum()) if mode == 'loss' else [self.weight] * len(inputs)


def run(folder, out, clock, *, by_epoch=True, interval=1000, val=False):
    """Train for two epochs of six steps of three images, and take the log where the line goes."""
    loader = dict(
        batch_size=3,
        dataset=[dict(inputs=torch.zeros(2))] * 18,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )
    validation = dict(
        val_dataloader=loader, val_cfg={}, val_evaluator=dict(type='DumpResults', out_file_path=str(folder / 'out.pkl'))
    )
    runner = Runner(
        model=Tiny(clock),
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=12),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=interval),
            checkpoint=None,
            progress=dict(type='hrnet_plugins.ProgressHook', console=console(out, width=200), clock=clock),
        ),
        custom_hooks=[],
        experiment_name=folder.name,
        cfg=Config(dict(default_scope='mmengine')),
        **(validation if val else {}),
    )
    (printer,) = (handler for handler in runner.logger.handlers if type(handler).__name__ == 'StreamHandler')
    printer.setStream(out)
    runner.train()
    return runner


def looks(out):
    """What the line said, look by look, without the log and the erasures."""
    lines = re.split(r'\r\x1b\[2K|\n', out.getvalue())
    return [line for line in lines if re.match(r'(epoch|step|validation|test) ', line)]


def test_epochs_in_a_terminal(tmp_path, clock):
    runner = run(tmp_path, out := Terminal(), clock)
    shown = looks(out)
    assert shown[:3] == [
        'epoch 1/2  step 0/6',
        'epoch 1/2  step 1/6  loss 1  1.5 images/s  0:00:22 left',
        'epoch 1/2  step 2/6  loss 0.64  1.5 images/s  0:00:20 left',
    ]
    assert shown[-1].startswith('epoch 2/2  step 5/6')  # with the last step the log says that the epoch ended
    assert out.getvalue().endswith((ERASE, '\n'))  # the line is gone
    assert not [handler for handler in runner.logger.handlers if type(handler).__name__ == '_Listener']


def test_iterations_in_a_terminal(tmp_path, clock):
    run(tmp_path, out := Terminal(), clock, by_epoch=False)
    assert looks(out)[:2] == ['step 0/12', 'step 1/12  loss 1  1.5 images/s  0:00:22 left']
    assert 'step 12/12' in looks(out)[-1]


def test_steps_that_the_log_shows_are_not_shown_twice(tmp_path, clock):
    run(tmp_path, out := Terminal(), clock, interval=2)
    assert re.findall(r'step (\d)/6', ' '.join(looks(out)[:4])) == ['0', '1', '3', '5']
    assert len(re.findall(r'Epoch\(train\) .* loss', out.getvalue())) == 6


def test_the_log_never_shares_a_row_with_the_line(tmp_path, clock):
    run(tmp_path, out := Terminal(), clock, interval=2)
    for row in out.getvalue().split('\n'):
        assert 'mmengine' not in row or 'step ' not in row.split(ERASE)[-1]


def test_a_pipe_where_the_log_is_silent(tmp_path, clock):
    run(tmp_path, out := io.StringIO(), clock)
    # After 6 seconds; after 12 the epoch ends, of which the log tells, and then 10 seconds are silent.
    assert [re.findall(r'(\d)/2  step (\d)/6', text)[0] for text in looks(out)] == [('1', '3'), ('2', '5')]
    assert '\x1b' not in out.getvalue()


def test_a_pipe_where_the_log_speaks(tmp_path, clock):
    run(tmp_path, out := io.StringIO(), clock, interval=2)  # every four seconds
    assert looks(out) == []


def test_validation(tmp_path, clock):
    run(tmp_path, out := Terminal(), clock, val=True)
    assert 'validation  step 1/6  1.5 images/s  0:00:10 left' in looks(out)
    assert not any('validation  step 6/6' in text for text in looks(out))


def test_other_processes_are_silent(tmp_path, clock, monkeypatch):
    monkeypatch.setattr('hrnet_plugins.training.progress.is_main_process', lambda: False)
    run(tmp_path, out := Terminal(), clock)
    assert looks(out) == []


@pytest.mark.parametrize(
    ('batch', 'images'),
    [(dict(inputs=[1, 2]), 2), (dict(inputs=torch.zeros(5, 3)), 5), ([1, 2, 3], 3), (dict(other=1), 0), (None, 0)],
)
def test_any_batch_is_counted(clock, batch, images):
    hook = ProgressHook(console=console(Terminal()), clock=clock)
    loop = SimpleNamespace(max_iters=4, epoch=0, max_epochs=1, dataloader=range(4))
    runner = SimpleNamespace(train_loop=loop, iter=0, world_size=2)
    hook.before_train_epoch(runner)
    clock.now += 2
    hook.after_train_iter(runner, 0, batch, {})
    said = hook._training(loop, 1, 1)
    assert f'{images} images/s' in said if images else 'images/s' not in said
    assert said.endswith('0:00:06 left')
