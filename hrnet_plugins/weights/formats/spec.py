"""The small language of the rename tables: key templates, rows, parts and formats.

A template is a state dict key in which

- ``{name}`` stands for a whole number, ``{3*name}`` and ``{3*name+1}`` for one of that form (the layers of an
  ``nn.Sequential`` that repeats a group of three);
- ``*`` at the end stands for the rest of the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product

from hrnet_plugins.state_dicts import State

Bindings = Mapping[str, int | str]

_INDEX = re.compile(r'\{(?:(\d+)\*)?(\w+)(?:\+(\d+))?\}')


@dataclass(frozen=True)
class Template:
    """A key template, with ``match`` from a key to the values of its placeholders and ``fill`` back."""

    text: str

    @cached_property
    def _indices(self) -> tuple[tuple[str, int, int], ...]:
        """Name, factor and offset of each placeholder, in order."""
        return tuple((m[2], int(m[1] or 1), int(m[3] or 0)) for m in _INDEX.finditer(self.text))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        text = self.text.removesuffix('*')
        pieces = _INDEX.sub('\0', text).split('\0')
        pattern = r'(\d+)'.join(re.escape(piece) for piece in pieces)
        return re.compile(pattern + ('(.+)' if text != self.text else ''))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the placeholders, in order."""
        return tuple(name for name, _, _ in self._indices)

    @property
    def open(self) -> bool:
        """Whether it ends with ``*``."""
        return self.text.endswith('*')

    def match(self, key: str) -> dict[str, int | str] | None:
        """Values of the placeholders (``*`` under its own name) if ``key`` has this form, else ``None``."""
        found = self._regex.fullmatch(key)
        if found is None:
            return None
        bindings: dict[str, int | str] = {'*': found[found.re.groups]} if self.open else {}
        for digits, (name, factor, offset) in zip(found.groups(), self._indices):
            value, rest = divmod(int(digits) - offset, factor)
            if rest or bindings.setdefault(name, value) != value:
                return None
        return bindings

    def fill(self, bindings: Bindings) -> str:
        """The key with these values."""
        text = _INDEX.sub(lambda m: str(int(m[1] or 1) * int(bindings[m[2]]) + int(m[3] or 0)), self.text)
        return text[:-1] + str(bindings['*']) if self.open else text


@dataclass(frozen=True)
class Row:
    """One row of a table: ``source`` is renamed to ``target``; ``None`` means known, dropped on purpose.

    An ``optional`` key may be absent. Keys of rows that end with ``*`` are never required.
    """

    source: str
    target: str | None
    optional: bool = False

    @cached_property
    def old(self) -> Template:
        """Template of the format's own key."""
        return Template(self.source)

    @cached_property
    def new(self) -> Template | None:
        """Template of OpenMMLab's key."""
        return None if self.target is None else Template(self.target)


@dataclass(frozen=True)
class Part:
    """Rows that come together: a file has all of them, or, unless the part is ``required``, none."""

    name: str
    rows: tuple[Row, ...]
    required: bool = False


@dataclass(frozen=True)
class Change:
    """A change of values: ``forward`` on a renamed state dict, in place, and ``backward`` to undo it.

    Both return the keys they touched. ``word`` says in a report what happened to them.
    """

    word: str
    forward: Callable[[State], list[str]]
    backward: Callable[[State], list[str]] | None = None


@dataclass(frozen=True)
class Format:
    """A source of checkpoints: its names, as an ordered table in parts, and its values.

    Args:
        name: What users write.
        title: What it is, for people.
        marks: Templates of keys that only this format has; any of them tells it from the formats below it in
            the list. Without marks the format has to be named.
        parts: The table.
        changes: Changes of values, in order, after renaming.
        writable: Whether state dicts can be converted into it.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    marks: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    writable: bool = True
    _marks: tuple[Template, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, '_marks', tuple(Template(mark) for mark in self.marks))

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in order."""
        return tuple(row for part in self.parts for row in part.rows)

    def marked(self, keys: Iterable[str]) -> bool:
        """Whether a key is one that only this format has."""
        return any(mark.match(key) is not None for key in keys for mark in self._marks)

    def find(self, key: str) -> tuple[Row, Bindings] | None:
        """The first row for one of the format's own keys."""
        for row in self.rows:
            bindings = row.old.match(key)
            if bindings is not None:
                return row, bindings
        return None

    def find_back(self, key: str) -> tuple[Row, Bindings] | None:
        """The first row for one of OpenMMLab's keys."""
        for row in self.rows:
            bindings = None if row.new is None else row.new.match(key)
            if bindings is not None:
                return row, bindings
        return None

    def source_name(self, key: str, present: Iterable[str] = ()) -> str:
        """The format's own name for one of OpenMMLab's keys, or that key if it has none.

        Where it has several, the one that begins as some key ``present`` does.
        """
        bound = ((row, row.new.match(key)) for row in self.rows if row.new is not None)
        names = [row.old.fill(bindings) for row, bindings in bound if bindings is not None]
        beginnings = {name.split('.')[0] for name in present}
        return next((name for name in names if name.split('.')[0] in beginnings), names[-1] if names else key)

    def missing(self, keys: Iterable[str], branches: int) -> list[str]:
        """The format's own keys that a file with ``keys`` should also have.

        An index of one name runs over the same values in every row: ``branch`` over the backbone's branches,
        ``step`` over one less, any other from 0 to the largest one found.

        Args:
            keys: Keys of the file.
            branches: Branches of its backbone.
        """
        present = set(keys)
        matches = {row.source: [b for k in present if (b := row.old.match(k)) is not None] for row in self.rows}
        sizes = {'branch': branches, 'step': branches - 1}
        for bindings in (b for found in matches.values() for b in found):
            for name in bindings.keys() - {'*', 'branch', 'step'}:
                sizes[name] = max(sizes.get(name, 0), int(bindings[name]) + 1)
        missing: list[str] = []
        for part in self.parts:
            if not part.required and not any(matches[row.source] for row in part.rows):
                continue
            for row in part.rows:
                if row.optional or row.old.open:
                    continue
                ranges = (range(sizes.get(name, 1)) for name in row.old.names)
                filled = (row.old.fill(dict(zip(row.old.names, values))) for values in product(*ranges))
                missing += [key for key in filled if key not in present]
        return missing
