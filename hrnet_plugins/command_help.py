"""How the command line explains itself: commands in groups, whole sentences, examples, and names to complete."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import click
from click.shell_completion import CompletionItem

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        'Recipes': ('list', 'path', 'train', 'test'),
        'Weights': ('weights', 'convert'),
        'Data': ('new', 'report'),
        'Models': ('predict', 'export'),
        'Environment': ('doctor', 'mmcv-ops'),
    }
)
"""The commands of each group, in the order in which the help shows them. Any other is shown under "Other"."""


class GroupedCommands(click.Group):
    """A group of commands whose help shows them by ``GROUPS``, each with the whole first sentence of its own help."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands; click's own method cuts their sentences."""
        found = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        shown = {name: command for name, command in found.items() if not command.hidden}
        groups = {title: [name for name in names if name in shown] for title, names in GROUPS.items()}
        known = {name for names in groups.values() for name in names}
        groups['Other' if known else 'Commands'] = [name for name in shown if name not in known]
        for title, names in groups.items():
            if names:
                with formatter.section(title):
                    formatter.write_dl([(name, first_sentence(shown[name])) for name in names])


def first_sentence(command: click.Command) -> str:
    """The first sentence of a command's help."""
    paragraph = ' '.join((command.help or '').partition('\n\n')[0].split())
    sentence, stop, _ = paragraph.partition('. ')
    return sentence + stop.strip()


def example(*lines: str) -> str:
    """The text under a command's help, from lines as they are typed."""
    return '\b\n' + '\n'.join(['Examples:' if len(lines) > 1 else 'Example:', *(f'  {line}' for line in lines)])


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of recipes that begin so, for a shell; files where none does."""
    from hrnet_plugins.recipes import recipes  # noqa: PLC0415, only when a shell asks

    return _names(recipes(), incomplete)


def complete_checkpoint(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of weights that begin so, with their scheme, for a shell; files where none does."""
    from hrnet_plugins.weights.catalog import CATALOG, SCHEME  # noqa: PLC0415

    return _names([f'{SCHEME}{name}' for name in CATALOG] if incomplete else [], incomplete)


def _names(known: Mapping[str, object] | list[str], incomplete: str) -> list[CompletionItem]:
    found = [CompletionItem(name) for name in known if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type='file')]
