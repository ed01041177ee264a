"""The log that mmengine leaves of a training: losses and learning rate by step, scores by validation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

_LINE_TIME = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
_NO_SCORES = ('step', 'epoch', 'iter', 'time', 'data_time')


@dataclass
class Log:
    """What was logged.

    Args:
        train: A row every few steps, with ``loss`` and its parts, ``lr``, ``grad_norm``, ``time``, ``step``.
        val: A row a validation, with its scores and ``step``, which counts epochs or steps.
        seconds: From the start of each run to the last line of its log, summed over the runs of a resumed training.
    """

    train: list[dict[str, Any]] = field(default_factory=list)
    val: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def by_epoch(self) -> bool:
        """Whether validations count epochs."""
        return bool(self.val and self.train) and self.val[-1]['step'] <= self.train[-1].get('epoch', -1)

    def losses(self) -> list[str]:
        """Names of the losses, their sum first."""
        names = {name for row in self.train for name in row if 'loss' in name}
        return sorted(names, key=lambda name: (name != 'loss', name))

    def scores(self) -> list[str]:
        """Names of the scores of validations that are single numbers."""
        found: dict[str, None] = {}
        for row in self.val:
            found |= {k: None for k, v in row.items() if k not in _NO_SCORES and isinstance(v, (int, float))}
        return list(found)

    def best(self, score: str) -> dict[str, Any] | None:
        """The validation with the highest value of a score."""
        rows = [row for row in self.val if score in row]
        return max(rows, key=lambda row: row[score]) if rows else None


def read_log(folder: Path) -> Log:
    """The log of a work folder: of all its runs, a later one in the place of what it repeats.

    Args:
        folder: The work folder, or that of one run.

    Returns:
        The log; empty where there is none.
    """
    log = Log()
    files = sorted(folder.glob('*/vis_data/scalars.json')) or sorted(folder.glob('vis_data/scalars.json'))
    for file in files:
        rows = _rows(file)
        train = [row for row in rows if 'loss' in row]
        val = [row for row in rows if 'loss' not in row and 'step' in row]
        if not train and any(_is_training(other) for other in files):
            continue  # of a test
        if train:
            first = train[0]['step']
            log.train = [row for row in log.train if row['step'] < first]
        if val:
            log.val = [row for row in log.val if row['step'] < val[0]['step']]
        log.train += train
        log.val += val
        log.seconds += _seconds(file)
    return log


def _is_training(file: Path) -> bool:
    return any('loss' in row for row in _rows(file))


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    for line in file.read_text(encoding='utf-8').splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # the last line of a training that was killed
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _seconds(file: Path) -> float:
    """From the start of a run, which names its folder, to the last line of its log."""
    run = file.parent.parent
    try:
        started = datetime.strptime(run.name, '%Y%m%d_%H%M%S')
    except ValueError:
        return 0.0
    return max(0.0, (_last_line(run / f'{run.name}.log') or file.stat().st_mtime) - started.timestamp())


def _last_line(log: Path) -> float:
    """When the last line of a text log was written, which a copy keeps; 0 where no line says so."""
    if not log.is_file():
        return 0.0
    times = _LINE_TIME.findall(log.read_text(encoding='utf-8', errors='replace'))
    return datetime.strptime(times[-1], '%Y/%m/%d %H:%M:%S').timestamp() if times else 0.0
