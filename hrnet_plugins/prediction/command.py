"""What ``hrnet-plugins predict`` does and says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hrnet_plugins.prediction.pictures import find_sources
from hrnet_plugins.prediction.predict import count, model_for, predictions
from hrnet_plugins.prediction.progress import Bar
from hrnet_plugins.prediction.trained import CHECKPOINTS


def run(where: str, pictures: Sequence[str], *, out: str, checkpoint: str | None = None, **options: Any) -> int:
    """Predict, write and say how it went.

    Args:
        where: As for ``predict``; a config may be followed by its checkpoint in ``pictures``.
        pictures: Files, folders, patterns, videos.
        out: The folder that is written.
        checkpoint: As for ``predict``.
        options: Others of ``predict``.

    Returns:
        The exit status: 1 if a picture could not be read.

    Raises:
        ValueError: As ``predict``.
        FileNotFoundError: As ``predict``.
    """
    given = list(pictures)
    if checkpoint is None and len(given) > 1 and given[0].endswith(CHECKPOINTS) and not where.endswith(CHECKPOINTS):
        checkpoint = given.pop(0)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'`--out` ({out}) is a file: name a folder')
    sources = find_sources(given, leave_out=folder.resolve())
    how = {name: options.pop(name, None) for name in ('device', 'fast', 'dtype')}
    model = model_for(where, checkpoint=checkpoint, **how)
    bar = Bar(count(sources))
    failed, done = [], 0
    for prediction in predictions(model, sources, out=folder, advance=bar.advance, **options):
        if prediction.error:
            bar.line.make_way()
            click.echo(f'{prediction.source.path} was left out: {prediction.error}', err=True)
            failed.append(prediction.source.path)
        else:
            done += 1
    bar.line.clear()
    what = 'pictures' if not any(source.is_video for source in sources) else 'pictures and frames'
    seconds = time.monotonic() - bar.started
    click.echo(f'{done} {what} in {seconds:.1f} seconds; {folder} has the drawings and predictions.json'
               if options.get('drawings', True) else
               f'{done} {what} in {seconds:.1f} seconds; {folder} has predictions.json')  # fmt: skip
    if failed:
        click.echo(f'{len(failed)} of {len(sources)} could not be read', err=True)
    return 1 if failed else 0
