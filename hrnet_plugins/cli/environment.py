"""Commands about what is installed, and what the machine can do."""

from __future__ import annotations

import click

from hrnet_plugins.cli.shared import one_line_errors
from hrnet_plugins.command_help import GroupedCommands, example


@click.command(epilog=example('hrnet-plugins doctor'))
def doctor() -> None:
    """Say what is installed, what this machine can do, and whether it computes right.

    Versions, the stack, operators, features of CPU and GPU, the cache of weights, and a small forward whose result is
    stored. The status is 1 if something is wrong. A report of a problem should carry what this prints.
    """
    from hrnet_plugins.doctor import examine  # noqa: PLC0415, as the other commands do

    wrong = 0
    for title, findings in examine():
        click.echo(f'{title}:')
        for finding in findings:
            wrong += finding.wrong
            click.echo(f'{"! " if finding.wrong else "  "}{finding.title:<24} {finding.text}')
    if wrong:
        raise click.ClickException(f'{wrong} {"thing is" if wrong == 1 else "things are"} wrong, marked with !')
    click.echo('Nothing is wrong.')


@click.group('mmcv-ops', cls=GroupedCommands, epilog=example('hrnet-plugins mmcv-ops install'))
def mmcv_ops() -> None:
    """Give an mmcv that was installed without a compiler its operators, on torchvision's.

    What runs in this environment then finds them: mim, the frameworks' own tools, any script. Compiled operators are
    never replaced.
    """


@mmcv_ops.command('install', epilog=example('hrnet-plugins mmcv-ops install'))
def mmcv_ops_install() -> None:
    """Put the operators into the installed mmcv; a second time changes nothing."""
    from hrnet_plugins.mmcv_ops.install import find, install  # noqa: PLC0415, as the other commands do

    with one_line_errors():
        click.echo(install(find()))


@mmcv_ops.command('remove', epilog=example('hrnet-plugins mmcv-ops remove'))
def mmcv_ops_remove() -> None:
    """Take our operators out of the installed mmcv again."""
    from hrnet_plugins.mmcv_ops.install import find, remove  # noqa: PLC0415, as the other commands do

    with one_line_errors():
        click.echo(remove(find()))


@mmcv_ops.command('status', epilog=example('hrnet-plugins mmcv-ops status'))
def mmcv_ops_status() -> None:
    """Say which mmcv is installed, and whose operators it has."""
    from hrnet_plugins.mmcv_ops.install import find, status  # noqa: PLC0415, as the other commands do

    with one_line_errors():
        for about, text in status(find()).items():
            click.echo(f'{about}: {text}')


COMMANDS = (doctor, mmcv_ops)
