"""What ``hrnet-plugins report`` does and says."""

from __future__ import annotations

from typing import Any

import click

from hrnet_plugins.prediction.progress import Bar
from hrnet_plugins.reporting.report import report


def run(work_dir: str, **options: Any) -> None:
    """Write the page, and say where it is and what it lacks.

    Args:
        work_dir: The work folder.
        options: Others of ``report``.

    Raises:
        ValueError: As ``report``.
    """
    bar = Bar(0)

    def advance(total: int) -> None:
        bar.total = total
        bar.advance()

    path, notes = report(work_dir, advance=advance, **options)
    bar.line.clear()
    for note in notes:
        click.echo(note, err=True)
    click.echo(f'Written: {path}. It opens in any browser, also without the network.')
