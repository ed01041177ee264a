"""Checkpoints that a kill at any moment leaves whole, and a resume that finds the newest of them."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import BaseLoop, EpochBasedTrainLoop

from hrnet_plugins.registry import HOOKS
from hrnet_plugins.training import random_state
from hrnet_plugins.training.fitting import check_fit
from hrnet_plugins.training.latest import first_process_decides, newest_whole
from hrnet_plugins.training.unfinished_epoch import skip_done
from hrnet_plugins.training.work_folder import hold, release

_REMOVING = 'hrnet_plugins_removing'
"""Entry of mmengine's message hub: old checkpoints that go once the one that says so is written."""
_RANDOM = 'hrnet_plugins_random'
"""Entry of a checkpoint: the states of all random generators of each process."""
_TEMPORARY = '.tmp'


@HOOKS.register_module()
class CheckpointHook(hooks.CheckpointHook):
    """mmengine's checkpoint hook, with the same arguments, for runs that may be killed at any moment.

    - A checkpoint is written under another name, flushed to the disk and renamed. Then ``last_checkpoint`` names it,
      and only then are older ones removed. mmengine removes first, and writes in place.
    - ``resume=True`` takes the newest checkpoint that reads whole, and says which it skipped.
    - One training at a time uses a work folder.
    - Checkpoints keep the states of random generators, so that a resumed run goes on as an unbroken one. Validation
      does not change them.
    - An epoch loop that resumes from a checkpoint inside an epoch goes on inside it.
    - What ``load_from`` names has to fit the model, see ``check_fit``.

    As ``default_hooks = dict(checkpoint=dict(type='hrnet_plugins.CheckpointHook'))``. The recipes have it, and
    ``hrnet-plugins train`` puts it into configs with mmengine's.

    Raises:
        ValueError: From ``before_run``, if another process trains in the work folder, or a run is to be resumed and no
            checkpoint there reads whole; from ``after_load_checkpoint``, if a checkpoint does not fit the model.
    """

    file_backend: Any
    _random: Any = None
    _resumed: Any = None
    _epoch_start: Any = None
    _before_val: Any = None
    _changed = False

    def before_run(self, runner: Any) -> None:
        """Take the work folder, and choose the checkpoint to resume from."""
        if not isinstance(runner._train_loop, BaseLoop):  # testing or validating alone
            return
        hold(Path(runner.work_dir))
        if runner._resume and runner._load_from is None and _is_local(self._folder(runner)):
            found = first_process_decides(
                lambda: newest_whole(Path(self._folder(runner)), Path(runner.work_dir), self.filename_tmpl)
            )
            if found is not None:
                path, skipped = found
                for reason in skipped:
                    runner.logger.warning('Skipped for resuming: %s', reason)
                runner._load_from = str(path)

    def before_train(self, runner: Any) -> None:
        """Remove what an earlier, killed run has left."""
        super().before_train(runner)
        if is_main_process() and _is_local(str(self.out_dir)):
            for left in Path(str(self.out_dir)).glob(f'.*{_TEMPORARY}'):
                _remove(left)
            for left in runner.message_hub.runtime_info.get(_REMOVING, ()):
                if Path(left).parent == Path(str(self.out_dir)):
                    _remove(Path(left))
        runner.message_hub.update_info(_REMOVING, [])
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            skip_done(runner)

    def after_run(self, runner: Any) -> None:
        """Give the work folder back."""
        release(Path(runner.work_dir))

    def before_train_epoch(self, runner: Any) -> None:
        """Go on with the random generators where the checkpoint was written."""
        # The state from a checkpoint, or of an epoch in which no iteration was left to undo the workers' start.
        before = self._resumed or self._epoch_start
        if before is not None:
            random_state.restore(before)
            self._resumed = None
        self._epoch_start = random_state.current()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Undo what starting the workers drew from the generators: it differs between new and resumed runs."""
        if self._epoch_start is not None:
            random_state.restore(self._epoch_start)
            self._epoch_start = None

    def before_val_epoch(self, runner: Any) -> None:
        """Keep the generators' states; a resumed run does not repeat the validation before it."""
        self._before_val = random_state.current()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Put the generators' states back, and keep the best checkpoint."""
        if self._before_val is not None:
            random_state.restore(self._before_val)
            self._before_val = None
        super().after_val_epoch(runner, metrics)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add the states of the random generators."""
        if self._random is not None:
            checkpoint[_RANDOM] = self._random

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Hold a checkpoint to the model, and take the states of the random generators from it.

        Raises:
            ValueError: If it does not fit.
        """
        training = isinstance(runner._train_loop, BaseLoop)
        testing = not training and any(isinstance(loop, BaseLoop) for loop in (runner._val_loop, runner._test_loop))
        check_fit(checkpoint, runner.model, name=str(runner._load_from), whole=testing or bool(runner._resume))
        if training and runner._resume:
            self._resumed = random_state.own(checkpoint.get(_RANDOM))

    def _folder(self, runner: Any) -> str:
        """Where checkpoints are, as mmengine decides it before the training."""
        if self.out_dir is None or self.out_dir == runner.work_dir:
            return str(runner.work_dir)
        return os.path.join(str(self.out_dir), os.path.basename(runner.work_dir.rstrip(os.sep)))

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        self._random = random_state.of_all_processes()
        try:
            with self._whole(runner):
                super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self._random = None

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, float]) -> None:
        with self._whole(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _whole(self, runner: Any) -> Iterator[None]:
        """While mmengine's own code saves: write whole files, and remove old ones at the end."""
        if self._changed or not _is_local(str(self.out_dir)):
            yield
            return
        save, backend = runner.save_checkpoint, self.file_backend
        late = _LateRemoval(backend, runner.message_hub)
        written: list[str] = []

        def save_whole(out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
            temporary = f'.{filename}.{os.getpid()}{_TEMPORARY}'
            save(out_dir, temporary, *args, **kwargs)
            if is_main_process():
                _replace(Path(out_dir) / temporary, Path(out_dir) / filename)
                written.append(os.path.join(out_dir, filename))

        runner.save_checkpoint, self.file_backend, self._changed = save_whole, late, True
        try:
            yield
        finally:
            del runner.save_checkpoint  # the instance's, which hid the class's
            self.file_backend, self._changed = backend, False
        for path in late.paths:
            if path not in written:
                _remove(Path(path))


class _LateRemoval:
    """A storage backend of mmengine's that only notes what is to be removed."""

    def __init__(self, backend: Any, message_hub: Any) -> None:
        self.backend = backend
        self.message_hub = message_hub
        self.paths: list[str] = []

    def remove(self, path: str) -> None:
        """Note a file; the next checkpoint says that it goes, in case of a kill before it has gone."""
        self.paths.append(path)
        self.message_hub.update_info(_REMOVING, [str(path) for path in self.paths])

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)


def _is_local(folder: str) -> bool:
    return '://' not in folder


def _replace(temporary: Path, target: Path) -> None:
    """Flush a file to the disk and rename it."""
    if temporary.is_dir():  # of a sharded model
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
        return
    with temporary.open('rb') as file:
        os.fsync(file.fileno())
    temporary.replace(target)
    if hasattr(os, 'O_DIRECTORY'):  # the folder's entry, too
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:  # it costs space, and no training
        logging.getLogger(__name__).warning('%s could not be removed: %s', path, error)
