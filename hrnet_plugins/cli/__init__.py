"""The ``hrnet-plugins`` command: a file for each group of commands, as ``--help`` shows them."""

from __future__ import annotations

import click

from hrnet_plugins import __version__
from hrnet_plugins.cli import data, environment, models, recipes, weights
from hrnet_plugins.command_help import GroupedCommands, example


@click.group(
    cls=GroupedCommands,
    context_settings=dict(help_option_names=['-h', '--help']),
    epilog=example('hrnet-plugins list fcos w18', 'hrnet-plugins train --help'),
)
@click.version_option(__version__)
def main() -> None:
    """HRNet for mmdet, mmseg and mmpretrain.

    Commands, options and names are completed by the shell once it has been told, in bash with this line in ~/.bashrc,
    and with zsh_source and fish_source in the files of those shells:

    \b
      eval "$(_HRNET_PLUGINS_COMPLETE=bash_source hrnet-plugins)"
    """  # noqa: D301, the sign that keeps click from wrapping a line


for _group in (recipes, weights, data, models, environment):
    for _command in _group.COMMANDS:
        main.add_command(_command)
