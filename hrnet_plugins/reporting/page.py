"""The page: HTML that holds all it shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources

import numpy as np

from hrnet_plugins.reporting.evaluate import Evaluation, Shown
from hrnet_plugins.reporting.scores import Table

_MANY = 20
"""Classes up to which a confusion matrix is shown whole; of more, the pairs that are mistaken most."""
_PAIRS = 25


@dataclass
class Page:
    """What a page shows.

    Args:
        title: Its title.
        facts: What is trained, and on what: names and values.
        notes: What is missing and why, in sentences.
        curves: An SVG, or nothing.
        validations: The scores of the validations: a header and rows, or nothing.
        evaluation: The scores of a set, or nothing.
        names: The classes.
        commands: How to go on: what each is for, and the command.
        config: The config's text.
    """

    title: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    curves: str = ''
    validations: list[Sequence[str]] = field(default_factory=list)
    evaluation: Evaluation | None = None
    names: Sequence[str] = ()
    commands: list[tuple[str, str]] = field(default_factory=list)
    config: str = ''


def html(page: Page) -> str:
    """The page's text; it asks for nothing from elsewhere."""
    style = resources.files(__package__).joinpath('page.css').read_text(encoding='utf-8')
    parts = [
        '<!doctype html>',
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(page.title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<style>{style}</style></head><body><main>',
        f'<h1>{escape(page.title)}</h1>',
        _facts(page.facts),
        *(f'<p class="note">{escape(note)}</p>' for note in page.notes),
    ]
    if page.evaluation is not None:
        parts += _scores(page.evaluation, page.names)
    if page.curves:
        parts += ['<h2>Training</h2>', f'<div class="wide">{page.curves[page.curves.index("<svg") :]}</div>']
    if len(page.validations) > 1:
        head, *rows = page.validations
        parts += ['<details><summary>All validations</summary>', _table(head, rows), '</details>']
    if page.evaluation is not None:
        parts += _pictures(page.evaluation)
    if page.commands:
        parts += ['<h2>How to go on</h2>', '<dl class="commands">']
        parts += [f'<dt>{escape(what)}</dt><dd><code>{escape(line)}</code></dd>' for what, line in page.commands]
        parts += ['</dl>']
    if page.config:
        parts += ['<h2>Config</h2>', '<details><summary>As it was trained, with all that it inherits</summary>',
                  f'<pre>{escape(page.config)}</pre></details>']  # fmt: skip
    return '\n'.join([*parts, '</main></body></html>', ''])


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = ''.join(f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value in facts)
    return f'<dl class="facts">{rows}</dl>'


def _scores(found: Evaluation, names: Sequence[str]) -> list[str]:
    count = f'{found.count:,} picture{"s" * (found.count != 1)}'
    parts = [f'<h2>Scores on the {escape(found.split)} set</h2>', f'<p class="about">{count}</p>']
    if found.unreadable:
        parts.append(f'<p class="note">{len(found.unreadable)} could not be read: {escape(found.unreadable[0])}</p>')
    summary = found.judge.summary()
    cards = ''.join(
        f'<div><b>{_percent(value)}</b><span>{escape(name)}</span></div>' for name, value in summary.items()
    )
    parts.append(f'<div class="cards">{cards}</div>')
    parts += ['<div class="beside"><section><h3>By class</h3>', _by_class(found.judge.table()), '</section>']
    parts += ['<section><h3>What is taken for what</h3>', _confusion(found.judge.confusion, names), '</section></div>']
    return parts


def _by_class(table: Table) -> str:
    head = ''.join(f'<th>{escape(name)}</th>' for name in ('', *table.columns))
    lines = []
    for name, values in table.rows.items():
        cells = ''.join(
            _bar(value) if column in table.shares else f'<td class="number">{value:,.0f}</td>'
            for column, value in zip(table.columns, values)
        )
        lines.append(f'<tr><th>{escape(name)}</th>{cells}</tr>')
    rows = f'<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody>'
    return f'<div class="scroll"><table class="scores">{rows}</table></div>'


def _bar(value: float) -> str:
    width = 0 if math.isnan(value) else 100 * value
    style = f'background-size:{width:.1f}% 3px'
    return f'<td class="number bar" style="{style}">{_percent(value)}</td>'


def _percent(value: float) -> str:
    return '-' if math.isnan(value) else f'{100 * value:.1f}'


def _confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    called = [*names, 'background'] if len(counts) > len(names) else list(names)
    if len(called) > _MANY:
        return _mistakes(counts, called)
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    if len(counts) > len(names):  # nothing in the background is counted but what is found there
        total[-1] = max(1, counts.sum())
    shares = counts / total
    head = ''.join(f'<th class="turned"><span>{escape(name)}</span></th>' for name in called)
    lines = []
    for i, name in enumerate(called):
        cells = ''.join(_cell(counts[i, j], shares[i, j], right=i == j) for j in range(len(called)))
        lines.append(f'<tr><th>{escape(name)}</th>{cells}</tr>')
    about = 'Rows: what it is. Columns: what it is taken for. Per cent of the row.'
    if len(counts) > len(names):
        about += (
            ' Background: a column for what is missed; a row for what is found where nothing is, per cent of all. '
            'Boxes with an IoU of 0.5 and a score of 0.3 at least.'
        )
    return (
        f'<div class="scroll"><table class="confusion"><thead><tr><th></th>{head}</tr></thead>'
        f'<tbody>{"".join(lines)}</tbody></table></div><p class="about">{about}</p>'
    )


def _cell(count: int, share: float, *, right: bool) -> str:
    colour = f'rgba({"44,138,87" if right else "194,59,90"},{min(1.0, 0.06 + 0.8 * share):.2f})' if count else 'none'
    strong = ' class="strong"' if share > 0.6 else ''
    text = f'{100 * share:.0f}' if share >= 0.005 else ('·' if count else '')
    return f'<td{strong} style="background:{colour}" title="{count:,}">{text}</td>'


def _mistakes(counts: np.ndarray, names: Sequence[str]) -> str:
    wrong = counts.astype(np.float64)
    np.fill_diagonal(wrong, 0)
    rows = []
    for flat in np.argsort(-wrong, axis=None)[:_PAIRS]:
        i, j = divmod(int(flat), len(names))
        if wrong[i, j] > 0:
            share = 100 * wrong[i, j] / max(1, counts[i].sum())
            rows.append((names[i], names[j], f'{int(wrong[i, j]):,}', f'{share:.1f}'))
    about = f'<p class="about">Of {len(names)} classes, the pairs that are mistaken most often.</p>'
    return _table(('it is', 'taken for', 'times', 'per cent'), rows) + about


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = ''.join(f'<th>{escape(name)}</th>' for name in head)
    lines = ''.join('<tr>' + ''.join(f'<td>{escape(cell)}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _pictures(found: Evaluation) -> list[str]:
    parts = []
    for title, rows in (('Where it is worst', found.worst), ('Where it is best', found.best)):
        if rows:
            parts += [f'<h2>{title}</h2>', '<p class="about">Left the labels, right the predictions</p>']
            parts += ['<div class="pictures">', *map(_picture, rows), '</div>']
    return parts


def _picture(row: Shown) -> str:
    images = ''.join(
        f'<img loading="lazy" alt="{what} of {escape(row.name)}" src="{Shown.address(data)}">'
        for what, data in (('labels', row.labels), ('predictions', row.found))
    )
    return (
        f'<figure><div>{images}</div><figcaption>{escape(row.name)}<b>{_percent(row.score)}</b></figcaption></figure>'
    )
