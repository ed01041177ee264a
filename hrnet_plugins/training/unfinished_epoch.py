"""Going on inside of the epoch in which a checkpoint was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def skip_done(runner: Any) -> None:
    """Let the first epoch of a resumed epoch loop begin after the batches that were trained on before.

    mmengine repeats the epoch from its first batch, and counts its iterations twice. The batches are read and left
    out, so that what is drawn for them is drawn as before.

    Args:
        runner: mmengine's runner, resumed, before its first epoch.
    """
    loop = runner.train_loop
    done = loop._iter - loop._epoch * len(loop.dataloader)
    if not 0 < done <= len(loop.dataloader):
        return
    runner.logger.info(f'Going on inside epoch {loop._epoch + 1}, after {done} of its {len(loop.dataloader)} batches')
    dataloader, run_iter, run_epoch = loop.dataloader, loop.run_iter, loop.run_epoch

    def run_rest() -> None:
        loop.dataloader = _Rest(dataloader, done)
        loop.run_iter = lambda index, batch: run_iter(index + done, batch)
        try:
            run_epoch()
        finally:
            loop.dataloader = dataloader
            del loop.run_iter, loop.run_epoch  # the instance's, which hid the class's

    loop.run_epoch = run_rest


class _Rest:
    """A dataloader without its first batches."""

    def __init__(self, dataloader: Any, done: int) -> None:
        self._dataloader = dataloader
        self._done = done

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self._dataloader)
        for _ in range(self._done):
            next(batches)
        yield from batches

    def __len__(self) -> int:
        return len(self._dataloader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataloader, name)
