"""Showing that training, validation and testing go on, between the lines of mmengine's log."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence, Sized
from datetime import timedelta
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from rich.console import Console

from hrnet_plugins.live_line import LiveLine
from hrnet_plugins.registry import HOOKS

WINDOW = 50
"""Steps over which speed is averaged."""


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show epoch, step, loss, images per second and the time left, on one line.

    In a terminal the line is renewed with each step. Elsewhere plain lines come at growing intervals, and only where
    mmengine's log is silent meanwhile. Nothing is written into the log itself. The first process alone shows it. The
    time left is that of the loop without its validations.

    As ``default_hooks = dict(progress=dict(type='hrnet_plugins.ProgressHook'))``, which a config's own ``custom_hooks``
    do not replace.

    Args:
        console: Where the line goes; standard output by default.
        clock: Seconds that only grow.
    """

    priority = 'VERY_LOW'  # after mmengine's LoggerHook, so that what that has just said is not said again

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._line = LiveLine(console=console, clock=clock) if is_main_process() else None
        self._listener = _Listener(self._line) if self._line else None
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=WINDOW + 1)  # time, steps, images

    def before_train(self, runner: Any) -> None:
        """Listen to the log from now on."""
        self._listen(runner)

    before_val = before_test = before_train

    def before_train_epoch(self, runner: Any) -> None:
        """Show that the first step is awaited, and measure the speed from here."""
        self._restart()
        self._show(lambda: self._training(runner.train_loop, 0, runner.iter))

    def before_val_epoch(self, runner: Any) -> None:
        """Measure the speed from here."""
        self._restart()

    before_test_epoch = before_val_epoch

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note that the log has not said anything of this step yet."""
        self._forget()

    before_val_iter = before_test_iter = before_train_iter

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Show the step that was done."""
        self._mark(_images(data_batch) * runner.world_size)
        loss = (outputs or {}).get('loss')
        self._show(lambda: self._training(runner.train_loop, batch_idx + 1, runner.iter + 1, loss))

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Show the step that was done."""
        self._evaluated(
            'validation', len(runner.val_dataloader), batch_idx + 1, _images(data_batch) * runner.world_size
        )

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Show the step that was done."""
        self._evaluated('test', len(runner.test_dataloader), batch_idx + 1, _images(data_batch) * runner.world_size)

    def after_train_epoch(self, runner: Any) -> None:
        """Take the line away: what follows may print."""
        self._end()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Measure the speed anew, as training may go on in the middle of an epoch."""
        self._restart()

    def after_run(self, runner: Any) -> None:
        """Take the line away for good."""
        self._end()
        if self._listener in runner.logger.handlers:
            runner.logger.removeHandler(self._listener)

    def _listen(self, runner: Any) -> None:
        if self._listener and self._listener not in runner.logger.handlers:
            runner.logger.handlers.insert(0, self._listener)  # before those that print

    def _restart(self) -> None:
        self._marks.clear()
        self._marks.append((self._clock(), 0, 0))
        self._forget()

    def _mark(self, images: int) -> None:
        _, steps, before = self._marks[-1]
        self._marks.append((self._clock(), steps + 1, before + images))

    def _training(self, loop: Any, batches: int, done: int, loss: Any = None) -> str:
        said = '' if loss is None else f'  loss {torch.as_tensor(loss).item():.4g}'
        rest = f'{said}{self._speed(loop.max_iters - done)}'
        if isinstance(loop, IterBasedTrainLoop):
            return f'step {done}/{loop.max_iters}{rest}'
        return f'epoch {loop.epoch + 1}/{loop.max_epochs}  step {batches}/{len(loop.dataloader)}{rest}'

    def _evaluated(self, name: str, steps: int, done: int, images: int) -> None:
        self._mark(images)
        if done < steps:
            self._show(lambda: f'{name}  step {done}/{steps}{self._speed(steps - done)}')
        else:
            self._end()  # metrics print

    def _speed(self, steps_left: int) -> str:
        (began, first, before), (now, last, after) = self._marks[0], self._marks[-1]
        if last == first or now <= began:
            return ''
        left = timedelta(seconds=round((now - began) / (last - first) * steps_left))
        images = f'  {(after - before) / (now - began):.3g} images/s' if after > before else ''
        return f'{images}  {left} left'

    def _show(self, text: Callable[[], str]) -> None:
        if self._line and self._listener and not self._listener.heard:
            self._line.show(text)

    def _forget(self) -> None:
        if self._listener:
            self._listener.heard = False

    def _end(self) -> None:
        if self._line:
            self._line.clear()


class _Listener(logging.Handler):
    """Hears what the log says before it is printed, and takes the line out of its way."""

    def __init__(self, line: LiveLine) -> None:
        super().__init__(logging.INFO)
        self._line = line
        self.heard = False

    def emit(self, record: logging.LogRecord) -> None:
        """Make way for a line of the log."""
        self.heard = True
        self._line.make_way()


def _images(data_batch: Any) -> int:
    """The number of images in a batch of any of the frameworks, 0 if it is of another form."""
    inputs = data_batch.get('inputs') if isinstance(data_batch, dict) else data_batch
    return len(inputs) if isinstance(inputs, Sized) else 0
