"""What commands share: one line for an error, tables, recipes by name, and options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Column, Table

from hrnet_plugins.recipes import recipe_path
from hrnet_plugins.weights.trust import TRUST_VARIABLE

Decorated = TypeVar('Decorated', bound=Callable[..., Any])


def trust(value: bool = True) -> None:
    """Take the word for what is read from now on, and by what is started."""
    if value:
        os.environ[TRUST_VARIABLE] = '1'


trust_option = click.option(
    '--trust',
    is_flag=True,
    expose_value=False,
    callback=lambda ctx, param, value: trust(value),
    help='Read files that ask for more than tensors, running what they hold; only where you trust whoever made them.',
)
"""Nothing is passed on to the command."""


def model_options(command: Decorated) -> Decorated:
    """Add the options of a command that runs a model: ``--device``, ``--fast``, ``--dtype``, ``--trust``."""
    options = (
        click.option('--device', help='Such as cpu or cuda:1; a GPU, if there is one, when not given.'),
        click.option('--fast', is_flag=True, help='Accelerate the model.'),
        click.option('--dtype', help='Precision of the accelerated model: fp32, bf16, fp16.'),
        trust_option,
    )
    for option in reversed(options):  # as decorators, from the last line up
        command = option(command)
    return command


@contextmanager
def one_line_errors(system: type[OSError] = FileNotFoundError) -> Iterator[None]:
    """Show a person what is wrong on one line, without a traceback.

    Args:
        system: The errors of the system that a person can mend; ``ValueError`` always is one.
    """
    try:
        yield
    except (ValueError, system) as error:
        raise click.ClickException(str(error)) from None


def find_recipe(recipe: str) -> Path:
    """The path of a recipe, a name or a path; an unknown one ends the command with one line."""
    with one_line_errors():
        return recipe_path(recipe)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: in a terminal as wide as that, in a pipe as wide as it takes, for grep to find whole lines."""
    table = Table(*(Column(column, overflow='fold') for column in columns), box=None)
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=500)).print(table)
