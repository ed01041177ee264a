"""Parsing command lines of ours without running them."""

from __future__ import annotations

from collections.abc import Sequence

import click


def parse(command: click.Command, words: Sequence[str]) -> None:
    """Parse a line as the command would, without running it.

    Raises:
        click.UsageError: If it would be refused.
    """
    try:
        with command.make_context('hrnet-plugins', list(words)) as context:
            if isinstance(command, click.Group):
                _, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
                assert below is not None
                parse(below, rest)
    except click.exceptions.Exit as done:  # of --help
        assert done.exit_code == 0
