"""The small language in which formats are written: key templates, rows, components, changes of values, formats.

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
from math import prod
from typing import Literal

from hrnet_plugins.state_dicts import State

Bindings = Mapping[str, int | str]
"""Values of a template's placeholders by name; what ``*`` stands for is under the name ``*``."""

Effect = Literal['folded', 'reshaped', 'reordered', 'made_absolute']
"""What a change of values does to entries. Each is the field of ``Report`` that lists these entries."""

MOST_KEYS = 10_000
"""Keys of one form that a file may be asked for; a number in a key decides how many there should be."""

_INDEX = re.compile(r'\{(?:(\d+)\*)?(\w+)(?:\+(\d+))?\}')


@dataclass(frozen=True)
class Template:
    """A key template: ``match`` reads the values of its placeholders from a key, ``fill`` puts values in."""

    text: str

    @cached_property
    def _indices(self) -> tuple[tuple[str, int, int], ...]:
        """Name, factor and offset of each placeholder, in order."""
        return tuple((m[2], int(m[1] or 1), int(m[3] or 0)) for m in _INDEX.finditer(self.text))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        text = self.text.removesuffix('*')
        pieces = _INDEX.sub('\0', text).split('\0')
        pattern = r'(\d{1,4})'.join(re.escape(piece) for piece in pieces)
        return re.compile(pattern + ('(.+)' if text != self.text else ''))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the placeholders, in order."""
        return tuple(name for name, _, _ in self._indices)

    @property
    def open(self) -> bool:
        """Whether it ends with ``*``, so that it stands for any number of keys."""
        return self.text.endswith('*')

    def match(self, key: str) -> dict[str, int | str] | None:
        """The values of the placeholders if ``key`` has this form, else ``None``."""
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
    """One row of a format's table: keys of the form ``source`` are renamed to the form ``target``.

    Args:
        source: Template of the format's own keys.
        target: Template of OpenMMLab's keys; ``None`` means that these entries are known and dropped on purpose.
        optional: Whether a complete file may lack these keys. Where ``source`` ends with ``*`` it always may.
    """

    source: str
    target: str | None
    optional: bool = False

    @cached_property
    def source_template(self) -> Template:
        """``source``, ready to match and fill."""
        return Template(self.source)

    @cached_property
    def target_template(self) -> Template | None:
        """``target``, ready to match and fill."""
        return None if self.target is None else Template(self.target)


@dataclass(frozen=True)
class Component:
    """Rows of one component of a model, such as a head. A file has all of them or none.

    Args:
        name: What it is, for readers of the table.
        rows: Its rows.
        required: Whether every file has it.
        written: Whether every file that is written has it.
    """

    name: str
    rows: tuple[Row, ...]
    required: bool = False
    written: bool = False


@dataclass(frozen=True)
class ValueChange:
    """A change of values that comes with a format.

    Args:
        effect: What it does to the entries that it changes.
        apply: Changes a state dict, which already has OpenMMLab's keys, in place. Returns the keys it changed.
        undo: The reverse, for writing the format; ``None`` if writing needs nothing.
    """

    effect: Effect
    apply: Callable[[State], list[str]]
    undo: Callable[[State], list[str]] | None = None


@dataclass(frozen=True)
class Format:
    """A source of checkpoints: its key names, as an ordered table in components, and how its values differ.

    Args:
        name: What users write.
        title: What it is, for people.
        components: The table. The first row that fits a key decides.
        signature: Templates of keys. A file that has a key of one of these forms is in this format, unless it is in
            one that comes earlier in ``FORMATS``. A format without a signature is never recognised, only named.
        changes: Changes of values, in order, after renaming.
        writable: Whether state dicts can be converted into it.
    """

    name: str
    title: str
    components: tuple[Component, ...]
    signature: tuple[str, ...] = ()
    changes: tuple[ValueChange, ...] = ()
    writable: bool = True
    _signature: tuple[Template, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, '_signature', tuple(Template(text) for text in self.signature))

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in order."""
        return tuple(row for component in self.components for row in component.rows)

    def recognises(self, keys: Iterable[str]) -> bool:
        """Whether one of a file's keys is in the signature."""
        return any(template.match(key) is not None for key in keys for template in self._signature)

    def find_source(self, key: str) -> tuple[Row, Bindings] | None:
        """The first row that fits one of the format's own keys, and the values of its placeholders."""
        for row in self.rows:
            bindings = row.source_template.match(key)
            if bindings is not None:
                return row, bindings
        return None

    def find_target(self, key: str) -> tuple[Row, Bindings] | None:
        """The first row that fits one of OpenMMLab's keys, and the values of its placeholders."""
        for row in self.rows:
            bindings = None if row.target_template is None else row.target_template.match(key)
            if bindings is not None:
                return row, bindings
        return None

    def source_key(self, key: str, present: Iterable[str] = ()) -> str:
        """The format's own key for one of OpenMMLab's, or that key if the format has none.

        Args:
            key: OpenMMLab's key.
            present: Keys of a file. Where the format has several keys for one of OpenMMLab's, the result is the one
                whose first name is that of some key present.
        """
        bound = ((row, row.target_template.match(key)) for row in self.rows if row.target_template is not None)
        own = [row.source_template.fill(bindings) for row, bindings in bound if bindings is not None]
        beginnings = {name.split('.')[0] for name in present}
        return next((name for name in own if name.split('.')[0] in beginnings), own[-1] if own else key)

    def missing_keys(self, keys: Iterable[str], branches: int, *, writing: bool = False) -> list[str]:
        """The format's own keys that a file with ``keys`` should have and lacks.

        A placeholder has the same range in every row: ``branch`` counts the backbone's branches, ``step`` one less,
        and any other goes from 0 to the largest value found in the file.

        Args:
            keys: Keys of the file.
            branches: Branches of its backbone.
            writing: Whether the file is to be written.

        Raises:
            ValueError: If a number in a key is so large that the file would need more entries than any has.
        """
        present = set(keys)
        matches = {
            row.source: [b for k in present if (b := row.source_template.match(k)) is not None] for row in self.rows
        }
        sizes = {'branch': branches, 'step': branches - 1}
        for bindings in (b for found in matches.values() for b in found):
            for name in bindings.keys() - {'*', 'branch', 'step'}:
                sizes[name] = max(sizes.get(name, 0), int(bindings[name]) + 1)
        missing: list[str] = []
        for component in self.components:
            required = component.required or (writing and component.written)
            if not required and not any(matches[row.source] for row in component.rows):
                continue
            for row in component.rows:
                template = row.source_template
                if row.optional or template.open:
                    continue
                if prod(sizes.get(name, 1) for name in template.names) > MOST_KEYS:
                    raise ValueError(f'a number in the keys {template.text} is larger than any HRNet has')
                ranges = (range(sizes.get(name, 1)) for name in template.names)
                filled = (template.fill(dict(zip(template.names, values))) for values in product(*ranges))
                missing += [key for key in filled if key not in present]
        return missing
