"""Python source of config values, and of what a config changes in the one that it inherits."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

WIDTH = 120


class Code(str):
    """Source that stands for itself, such as the name of a variable."""

    __slots__ = ()


@dataclass(frozen=True)
class Copy:
    """A copy of a dictionary with some entries changed: ``dict(base, key=value)``.

    Args:
        base: The expression of the dictionary.
        entries: What is changed and added.
    """

    base: str
    entries: Mapping[str, Any]


@dataclass(frozen=True)
class Each:
    """The same change of every entry of a list: ``[dict(head, key=value) for head in heads]``.

    Args:
        entry: The change, of ``name``.
        name: The variable.
        where: The expression of the list.
    """

    entry: Copy
    name: str
    where: str


def source(value: Any, indent: int = 0, *, before: int = 0) -> str:
    """A value as source: on one line where that fits, else one entry a line, with a comma at the end.

    Args:
        value: Of dictionaries, lists, tuples, numbers, strings, ``None``, ``Code``, ``Copy`` and ``Each``.
        indent: Column in which the closing bracket will stand.
        before: Characters that stand before the value on its first line, besides the indent.
    """
    line = _line(value)
    if indent + before + len(line) < WIDTH or isinstance(value, (str, int, float)) or value is None:
        return line
    inside = indent + 4

    def rows(entries: Mapping[str, Any]) -> list[str]:
        return [f'{key}={source(entry, inside, before=len(key) + 1)}' for key, entry in entries.items()]

    if isinstance(value, Each):
        lines = [source(value.entry, inside), f'for {value.name} in {value.where}']
        return '[\n' + ''.join(f'{" " * inside}{text}\n' for text in lines) + ' ' * indent + ']'
    if isinstance(value, Copy):
        return _bracketed('dict()', [value.base, *rows(value.entries)], indent)
    if isinstance(value, Mapping) and _plain_keys(value):
        return _bracketed('dict()', rows(value), indent)
    if isinstance(value, Mapping):
        keyed = [(_line(key), entry) for key, entry in value.items()]
        return _bracketed('{}', [f'{key}: {source(e, inside, before=len(key) + 2)}' for key, e in keyed], indent)
    brackets = '()' if isinstance(value, tuple) else '[]'
    if all(isinstance(entry, (str, int, float)) and not isinstance(entry, Code) for entry in value):
        return (
            brackets[0] + '\n' + _filled([_line(entry) for entry in value], ' ' * inside) + ' ' * indent + brackets[1]
        )
    return _bracketed(brackets, [source(entry, inside) for entry in value], indent)


def _bracketed(brackets: str, rows: Sequence[str], indent: int) -> str:
    """Rows between brackets, one a line; the last of ``brackets`` closes."""
    inside = ' ' * (indent + 4)
    return brackets[:-1] + '\n' + ''.join(f'{inside}{row},\n' for row in rows) + ' ' * indent + brackets[-1]


def _filled(words: Sequence[str], inside: str) -> str:
    """Words with commas, as many to a line as fit."""
    lines = ['']
    for word in words:
        if len(inside) + len(lines[-1]) + len(word) + 2 > WIDTH:
            lines.append('')
        lines[-1] += f'{word}, '
    return ''.join(f'{inside}{line.rstrip()}\n' for line in lines)


def _line(value: Any) -> str:
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, Each):
        return f'[{_line(value.entry)} for {value.name} in {value.where}]'
    if isinstance(value, Copy):
        return f'dict({", ".join([value.base, *(f"{key}={_line(entry)}" for key, entry in value.entries.items())])})'
    if isinstance(value, str):
        return repr(value)
    if isinstance(value, Mapping):
        if not _plain_keys(value):
            return '{' + ', '.join(f'{_line(key)}: {_line(entry)}' for key, entry in value.items()) + '}'
        return 'dict(' + ', '.join(f'{key}={_line(entry)}' for key, entry in value.items()) + ')'
    if isinstance(value, tuple):
        return '(' + ', '.join(map(_line, value)) + (',)' if len(value) == 1 else ')')
    if isinstance(value, list):
        return '[' + ', '.join(map(_line, value)) + ']'
    return repr(value)


def _plain_keys(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key) for key in value)


def changes(base: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a config has to say so that mmengine makes ``wanted`` of the inherited ``base``.

    Dictionaries are merged key by key, and replaced (``_delete_``) where a key has to go. A list is replaced as a
    whole; where its entries are changed dictionaries, only their differences are stated.

    Args:
        base: The inherited value.
        wanted: The value that is to be; may contain ``Code``.
        where: The expression by which a config reaches ``base``, such as ``_base_.model``.
    """
    if not base.keys() <= wanted.keys():
        return dict(_delete_=True, **wanted)
    said: dict[str, Any] = {}
    for key, value in wanted.items():
        old = base.get(key)
        if key in base and type(old) is type(value) and old == value:
            continue
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = changes(old, value, f'{where}.{key}')
            if inner:
                said[key] = inner
        elif _are_dicts(old) and _are_dicts(value) and len(old) == len(value):
            said[key] = _list_changes(old, value, f'{where}.{key}')
        else:
            said[key] = value
    return said


def _are_dicts(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _list_changes(base: list[Mapping[str, Any]], wanted: list[Mapping[str, Any]], where: str) -> Any:
    name = where.rsplit('.', maxsplit=1)[-1].rsplit('_', maxsplit=1)[-1]
    said = [_copy(old, new, name) for old, new in zip(base, wanted)]
    if len(base) > 1 and isinstance(said[0], Copy) and all(entry == said[0] for entry in said):
        return Each(said[0], name, where)
    return [_copy(old, new, f'{where}[{i}]') for i, (old, new) in enumerate(zip(base, wanted))]


def _copy(base: Mapping[str, Any], wanted: Mapping[str, Any], name: str) -> Any:
    """A dictionary as a copy of ``base``, called ``name``; as itself where keys have to go."""
    if not base.keys() <= wanted.keys():
        return wanted
    entries: dict[str, Any] = {}
    for key, value in wanted.items():
        old = base.get(key)
        if key in base and type(old) is type(value) and old == value:
            continue
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        entries[key] = _copy(old, value, f"{name}['{key}']") if both else value  # type: ignore[arg-type]
    return Copy(name, entries) if entries else Code(name)
