"""One table of what a folder holds, and what is wrong in it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import median

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hrnet_plugins.data.checks import class_counts, sized
from hrnet_plugins.data.content import KINDS, SPLITS, Content, Problem

SHOWN = 3
"""Places that are shown of each kind of problem; the list that is written has all."""
_COLOURS = {'error': 'red', 'warning': 'yellow', 'note': 'dim'}
_MANY_CLASSES = 40


def describe(content: Content) -> Group:
    """What is in the sets and what is wrong, as rich draws it."""
    parts: list[Table | Text] = [Text(f'{content.root}: {content.format}, {content.layout}'), _sets(content)]
    if content.problems:
        parts.append(_problems(content))
    return Group(*parts)


def _sets(content: Content) -> Table:
    splits = [split for split in (*SPLITS, 'all') if split in content.splits]
    table = Table(title='made by this command' if content.made_split else None, title_justify='left')
    table.add_column('')
    for split in splits:
        table.add_column(split, justify='right')
    table.add_row('pictures', *(f'{len(content.splits[split]):,}' for split in splits))
    sizes = {split: _range(content, split) for split in splits}
    table.add_row('width x height', *sizes.values())
    counts = {split: class_counts(content, split) for split in splits}
    if content.task == 'detection':
        outlined = ' with outlines' if content.has_outlines else ''
        table.add_row(f'objects{outlined}', *(f'{sum(counts[split].values()):,}' for split in splits))
        table.add_row('their size in pixels', *(_box_sizes(content, split) for split in splits))
    table.add_section()
    unit = {'detection': '', 'classification': '', 'segmentation': ' %'}[content.task]
    for name in content.classes[:_MANY_CLASSES]:
        table.add_row(escape(f'{name}{unit}'), *(_count(content, counts[split], name) for split in splits))
    if len(content.classes) > _MANY_CLASSES:
        table.add_row(f'... {len(content.classes) - _MANY_CLASSES} more classes', *('' for _ in splits))
    return table


def _count(content: Content, counts: dict[str, int], name: str) -> str:
    if content.task != 'segmentation':
        return f'{counts[name]:,}'
    total = sum(counts.values())
    return f'{100 * counts[name] / total:.1f}' if total else ''


def _range(content: Content, split: str) -> str:
    sizes = [content.label_size(picture) for picture in content.splits[split]]
    if not sizes:
        return ''
    middle = '{:g}x{:g}'.format(*(median(side) for side in zip(*sizes)))
    low, high = ('x'.join(str(f(side)) for side in zip(*sizes)) for f in (min, max))
    return middle if low == high else f'{low} to {high}, median {middle}'


def _box_sizes(content: Content, split: str) -> str:
    sides = sorted(sized([box for picture in content.splits[split] for box in picture.boxes]))
    if not sides:
        return ''
    return f'{sides[0]:.0f} to {sides[-1]:.0f}, median {median(sides):.0f}'


def _problems(content: Content) -> Table:
    table = Table(title='what is wrong', title_justify='left')
    for column in ('', 'what', 'where', 'what is done'):
        table.add_column(column, overflow='fold')
    for kind, problems in by_kind(content).items():
        row = KINDS[kind]
        where = [problem.where(content.root) for problem in problems[:SHOWN]]
        if len(problems) > SHOWN:
            where.append(f'... {len(problems) - SHOWN} more')
        # Texts, not markup: names of files may have brackets.
        table.add_row(
            Text(row.severity, style=_COLOURS[row.severity]),
            Text(f'{row.title}: {len(problems)}'),
            Text('\n'.join(where)),
            Text(row.action),
        )
    return table


def by_kind(content: Content) -> dict[str, list[Problem]]:
    """The problems of each kind, the kinds in the order of ``KINDS``."""
    found: dict[str, list[Problem]] = defaultdict(list)
    for problem in content.problems:
        found[problem.kind].append(problem)
    return {kind: found[kind] for kind in KINDS if kind in found}


def problem_list(content: Content) -> str:
    """All problems, one a line."""
    lines = []
    for kind, problems in by_kind(content).items():
        row = KINDS[kind]
        lines.append(f'{row.severity}, {row.title}: {len(problems)}, {row.action}')
        lines += [f'  {problem.where(content.root)}' for problem in problems]
    return '\n'.join(lines) + '\n'


def write_problems(content: Content, path: Path) -> None:
    """Write all problems to a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(problem_list(content), encoding='utf-8')
