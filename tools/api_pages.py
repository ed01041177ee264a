"""The pages of the API: a directive for each public name, which mkdocstrings fills from the docstrings."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / 'hrnet_plugins'
ROOMS = {
    'models': 'Backbone, necks and their parts',
    'data': "A user's own data",
    'det': 'For detectors',
    'seg': 'For segmentors',
    'training': 'Training',
    'io': 'Storage',
    'inference': 'Fast inference and export',
    'weights': 'Weights and formats',
}
"""The rooms whose names are public, with the title of their section."""
CONSTANTS = ('__version__',)
"""Names that are no more than a value, and have no entry."""


def public_names(room: str = '') -> list[str]:
    """The names that a room, or the package itself, lists as public, read from its source."""
    tree = ast.parse((PACKAGE / room / '__init__.py').read_text(encoding='utf-8'))
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    listed = values['_HOME' if room == '' else '__all__']
    return sorted(name for name in ast.literal_eval(listed) if name not in CONSTANTS)


def door() -> str:
    """The names of ``import hrnet_plugins``."""
    return '\n' + ''.join(_directive('hrnet_plugins', name) for name in public_names())


def rooms() -> str:
    """The names of the rooms that the door does not have."""
    known = set(public_names())
    parts = []
    for room, title in ROOMS.items():
        names = [name for name in public_names(room) if name not in known]
        parts.append(f'\n## {title}: `hrnet_plugins.{room}`\n\n')
        parts += [_directive(f'hrnet_plugins.{room}', name) for name in names]
    return ''.join(parts)


def _directive(module: str, name: str) -> str:
    return f'::: {module}.{name}\n\n'
