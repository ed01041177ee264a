"""Tables of recipes, with what is published of them, from the metafiles and the catalog of weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hrnet_plugins.metafiles import Published, published
from hrnet_plugins.weights.catalog import CATALOG

COLUMNS = 6  # of scores; where a folder has more kinds than that, one column holds them by name
_WIDTH = re.compile(r'hrnet(?:v2p|v2)?-(w\d+(?:-small-v\d)?)|_(r\d+)')


def table(folder: str) -> str:
    """The recipes of a folder and their published scores, as Markdown.

    Raises:
        ValueError: If no metafile of the folder is in the model index.
    """
    rows = rows_of(folder)
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.scores))
    if len(metrics) <= COLUMNS:
        cells = [[row.scores.get(metric, '') for metric in metrics] for row in rows]
    else:
        metrics = ['published']
        cells = [[scores_text(row)] for row in rows]
    return markdown(
        ['recipe', *metrics, 'weights'],
        ([f'`{row.name}`', *scores, weights_text(row.name)] for row, scores in zip(rows, cells, strict=True)),
    )


def rows_of(folder: str) -> list[Published]:
    """What is published of the recipes of a folder.

    Raises:
        ValueError: If no metafile of the folder is in the model index.
    """
    rows = [row for row in published().values() if row.folder == folder]
    if not rows:
        raise ValueError(f'no metafile of `{folder}` in model-index.yml')
    return rows


def markdown(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; empty cells are ``| |``."""
    lines = [head, ['---'] * len(head), *rows]
    return ''.join('|' + ''.join(f' {cell} |' if cell != '' else ' |' for cell in line) + '\n' for line in lines)


def scores_text(row: Published) -> str:
    """The scores of a row with their names."""
    return ', '.join(f'{metric} {score}' for metric, score in row.scores.items())


def weights_of(recipe: str) -> list[str]:
    """Names of the published weights that a recipe tests."""
    return [name for name, weight in CATALOG.items() if weight.recipe == recipe]


def weights_text(recipe: str) -> str:
    """The same as code."""
    return ', '.join(f'`{name}`' for name in weights_of(recipe))


def width_of(recipe: str) -> str:
    """The backbone in a recipe's name, such as ``w18_small_v1`` or, of a baseline, ``r50``."""
    found = _WIDTH.search(recipe)
    assert found is not None, recipe
    return (found[1] or found[2]).replace('-', '_')


def wrap(text: str, indent: str = '', width: int = 116) -> list[str]:
    """Lines of at most ``width`` characters; a word that is longer stands alone."""
    lines, line = [], ''
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = indent + word
        else:
            line = f'{line} {word}' if line else word
    return [*lines, line]
