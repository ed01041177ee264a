"""Lists of the classes of label maps, in the forms that tools write: names, values and colours."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from hrnet_plugins.data.content import DataError
from hrnet_plugins.data.files import Tree, lines_of

NAMES = (
    'classes.txt',
    'class_names.txt',
    'label_names.txt',
    'labels.txt',
    'labelmap.txt',
    'label_colors.txt',
    'class_dict.csv',
    'classes.csv',
    '_classes.csv',
    'colormap.csv',
)
"""Files of one entry a line: bare names, CVAT's ``name:r,g,b::``, CamVid's ``r g b name``, tables with a header."""
NO_CLASSES = frozenset(
    {'__ignore__', 'dontcare', 'ignore', 'ignored', 'unannotated', 'unlabeled', 'unlabelled', 'void'}
)
"""Names of what is no class, in lower case."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Entry:
    """A class of a list, with its value or its colour (R, G, B) where the list has them."""

    name: str
    value: int | None = None
    colour: Colour | None = None


def find_list(tree: Tree) -> Path | None:
    """The list of classes that lies uppermost in a folder."""
    found = [folder / name for folder, names in tree.files.items() for name in names if name.lower() in NAMES]
    return min(found, key=lambda path: (len(path.parts), NAMES.index(path.name.lower())), default=None)


def parse(path: Path) -> list[Entry]:
    """The entries of a list, in its order.

    Raises:
        DataError: If it cannot be read, or a line is in none of the forms; the message names it.
    """
    rows = [(number, line.strip()) for number, line in enumerate(lines_of(path), start=1)]
    rows = [(number, line) for number, line in rows if line and not line.startswith('#')]
    if path.suffix.lower() == '.csv' and rows:
        return _table(path, [line for _, line in rows])
    return [_line(path, number, line) for number, line in rows]


def _line(path: Path, number: int, line: str) -> Entry:
    cvat = re.fullmatch(r'([^:]+):(\d+),\s*(\d+),\s*(\d+)(?::.*)?', line)
    if cvat:
        return Entry(cvat[1].strip(), colour=_colour(path, number, cvat.groups()[1:]))
    camvid = re.fullmatch(r'(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)', line)
    if camvid:
        return Entry(camvid[4].strip(), colour=_colour(path, number, camvid.groups()[:3]))
    coloured = re.fullmatch(r'(.+?)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+)', line)
    if coloured:
        return Entry(coloured[1].strip(), colour=_colour(path, number, coloured.groups()[1:]))
    numbered = re.fullmatch(r'(\d+)\s*[:,=\s]\s*(.+)', line)
    if numbered:
        return Entry(numbered[2].strip(), value=int(numbered[1]))
    return Entry(line)


def _table(path: Path, lines: list[str]) -> list[Entry]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    head = [cell.lower() for cell in rows[0]]
    name = next((i for i, cell in enumerate(head) if cell in ('name', 'class', 'label', 'class_name')), None)
    if name is None:
        return [_line(path, number, ','.join(row)) for number, row in enumerate(rows, start=1)]
    colour = [
        next((i for i, cell in enumerate(head) if cell in (full, full[0])), None) for full in ('red', 'green', 'blue')
    ]
    value = next((i for i, cell in enumerate(head) if cell in ('pixel value', 'value', 'id', 'index')), None)
    entries = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            entries.append(
                Entry(
                    row[name],
                    value=int(row[value]) if value is not None else None,
                    colour=None if None in colour else _colour(path, number, [row[i] for i in colour if i is not None]),
                )
            )
        except (IndexError, ValueError):
            raise DataError(
                f'line {number} of the list of classes {path} ({",".join(row)}) is not as its head'
            ) from None
    return entries


def _colour(path: Path, number: int, words: tuple[str, ...] | list[str]) -> Colour:
    red, green, blue = map(int, words)
    if max(red, green, blue) > 255:
        raise DataError(f'line {number} of the list of classes {path} has a colour above 255')
    return (red, green, blue)
