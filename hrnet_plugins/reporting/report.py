"""From a work folder to its page."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hrnet_plugins.prediction.predict import model_for
from hrnet_plugins.prediction.trained import best_in, config_in
from hrnet_plugins.recipes import framework_of, read_config
from hrnet_plugins.reporting.curves import NAMES, draw_curves, is_share, shown_scores
from hrnet_plugins.reporting.evaluate import Evaluation, evaluate
from hrnet_plugins.reporting.page import Page, html
from hrnet_plugins.reporting.training_log import Log, read_log

SPLITS = ('test', 'val', 'train')
_TASKS = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}


def report(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    split: str | None = None,
    pictures: int = 6,
    limit: int | None = None,
    device: str | None = None,
    fast: bool = False,
    dtype: str | None = None,
    advance: Callable[[int], None] = lambda total: None,
) -> tuple[Path, list[str]]:
    """Write one HTML page about a training, which needs nothing else to be looked at.

    What is missing, a checkpoint or the data, is left out of the page, which says so.

    Args:
        folder: The work folder.
        out: The page; ``report.html`` in the folder by default.
        checkpoint: Another one than the best.
        split: The set that is predicted: ``test``, ``val`` or ``train``; by default the first that the config has.
        pictures: How many are drawn at each end, of the best and of the worst.
        limit: Most pictures of the set that are predicted; all by default.
        device: Such as ``'cuda:1'``.
        fast: Use ``accelerate``.
        dtype: Its precision, which implies it.
        advance: Called after each picture, with how many there are.

    Returns:
        The page's path, and what is missing in it.

    Raises:
        ValueError: If the folder is no work folder, or an argument is out of range.
    """
    path = Path(folder)
    if not path.is_dir():
        raise ValueError(f'`work_dir` ({folder}) is not a folder: name the work folder of a training')
    if split not in (None, *SPLITS):
        raise ValueError(f'`split` ({split}) must be one of {", ".join(SPLITS)}')
    for name, value, least in (('pictures', pictures, 0), ('limit', limit, 1)):
        if value is not None and value < least:
            raise ValueError(f'`{name}` ({value}) must be {least} at least')
    page_path = Path(out) if out is not None else path / 'report.html'
    if page_path.is_dir():
        raise ValueError(f'`out` ({out}) is a folder: name a file, such as {page_path / "report.html"}')
    config = _config(path)
    cfg = read_config(config)
    log = read_log(path)
    page = Page(path.resolve().name, config=cfg.pretty_text)
    if log.train or log.val:
        page.curves = draw_curves(log)
        page.validations = _validations(log)
    else:
        page.notes.append('No curves: the folder has no log of a training, vis_data/scalars.json.')
    file = _checkpoint(path, checkpoint, page)
    if file is not None:
        model = model_for(config, checkpoint=file, device=device, fast=fast, dtype=dtype)
        page.names = tuple((model.dataset_meta or {}).get('classes') or ())
        page.evaluation = _evaluation(model, split, page, shown=pictures, limit=limit, advance=advance)
    page.facts = _facts(cfg, framework_of(config), file, log, page)
    page.commands = _commands(path, config, file, finished=file is not None)
    page_path.parent.mkdir(parents=True, exist_ok=True)
    page_path.write_text(html(page), encoding='utf-8')
    return page_path, page.notes


def _config(folder: Path) -> Path:
    try:
        return config_in(folder)
    except ValueError as error:
        raise ValueError(str(error).replace('`where`', '`work_dir`')) from None


def _checkpoint(folder: Path, given: Any, page: Page) -> Path | None:
    if given is not None:
        if not Path(given).is_file():
            raise ValueError(f'`checkpoint` ({given}) is not there')
        return Path(given)
    try:
        return best_in(folder)
    except ValueError:
        page.notes.append('No scores and pictures: the folder has no checkpoint yet.')
        return None


def _evaluation(model: Any, split: str | None, page: Page, **options: Any) -> Evaluation | None:
    reasons = []
    for name in (split,) if split is not None else SPLITS[:2]:
        try:
            return evaluate(model, name, **options)
        except ValueError as error:
            reasons.append(str(error))
    page.notes.append(f'No scores and pictures: {reasons[-1]}.')
    return None


def _facts(cfg: Any, framework: str, file: Path | None, log: Log, page: Page) -> list[tuple[str, str]]:
    backbone = cfg.model.get('backbone') or {}
    arch = backbone.get('arch') or backbone.get('depth') or ''
    model, network = (str(part.get('type', '')).rpartition('.')[2] for part in (cfg.model, backbone))
    model = f'{model}, {network} {arch}'.strip(' ,')
    facts = [('task', _TASKS[framework]), ('model', model)]
    if page.names:
        facts.append(('classes', str(len(page.names))))
    if file is not None:
        facts.append(('checkpoint', file.name))
    if log.train:
        last = log.train[-1]
        done = f'{last["step"]:,} steps'
        facts.append(('trained', f'{last["epoch"]} epochs, {done}' if last.get('epoch') else done))
        if log.seconds:
            facts.append(('time of the training', _duration(log.seconds)))
    for score in shown_scores(log)[:1]:
        best = log.best(score)
        if best is not None:
            value = best[score] * (100 if is_share(score) else 1)
            when = f'{"epoch" if log.by_epoch else "step"} {best["step"]}'
            facts.append((f'best {NAMES.get(score, score)} in validation', f'{value:.1f}, {when}'))
    facts.append(('written', time.strftime('%Y-%m-%d %H:%M')))
    return facts


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f'{seconds:.0f} seconds'
    return f'{minutes:.0f} minutes' if minutes < 120 else f'{minutes / 60:.1f} hours'


def _validations(log: Log) -> list[Any]:
    scores = log.scores()
    if not log.val:
        return []
    rows = [
        [str(row['step']), *(f'{row[s] * (100 if is_share(s) else 1):.2f}' if s in row else '' for s in scores)]
        for row in log.val
    ]
    return [['epoch' if log.by_epoch else 'step', *scores], *rows]


def _commands(folder: Path, config: Path, file: Path | None, *, finished: bool) -> list[tuple[str, str]]:
    def line(*words: object) -> str:
        return shlex.join(['hrnet-plugins', *map(str, words)])

    go_on = line('train', config, '--work-dir', folder, '--resume')
    longer = f'{go_on} --cfg-options train_cfg.max_epochs=N max_epochs=N'
    rows = [('Go on with this training after it was broken off', go_on), ('Train longer, N epochs in all', longer)]
    if not finished or file is None:
        return rows
    return [
        ('Predict pictures, a folder or a video', line('predict', folder, 'PICTURES', '--out', 'shown/')),
        ('The same, faster', line('predict', folder, 'PICTURES', '--out', 'shown/', '--dtype', 'bf16')),
        ('Test as the framework does', line('test', config, file)),
        ('One file for ONNX Runtime', line('export', config, file, '--format', 'onnx')),
        ('Start another training from these weights', line('new', 'more.py', '--data', 'FOLDER', '--weights', file)),
        *rows,
    ]
