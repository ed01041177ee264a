"""Texts of configs in checkpoints, taken as data.

mmengine stores a run's config as text in its checkpoints, and runs that text when the run is resumed or an inferencer
is made from the file alone. A config that mmengine wrote consists of plain values, so a text that holds more was
written by somebody else.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import math
import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import cache
from typing import Any

SCOPES = frozenset({'hrnet_plugins', 'mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmseg'})
"""Packages whose classes a config in a checkpoint may name, and whose modules it may import."""
_ELSEWHERE = ('torch.nn.', 'torch.optim.', 'torchvision.transforms.')
"""Where a class may also be that a config names by its full path."""
_FUNCTIONS = frozenset({'default_collate', 'nms', 'pseudo_collate', 'soft_nms'})
"""Registered names in lower case that configs give with a scope."""
_LONGEST = 2_000_000
"""Characters; the longest config of a recipe has under 20,000."""
_SCOPE_KEYS = ('_scope_', 'default_scope')
_EVALUATED = ('warp_mode',)
"""Arguments that mmdet gives to ``eval``."""


class NotPlainError(ValueError):
    """A text holds more than plain values; the message says what."""


def plain_config(text: str) -> str:
    """The text of a config that holds plain values only, written anew from these values.

    Plain are numbers, strings, ``None``, and lists, tuples, sets and dicts of plain values, also as ``dict(a=1)``.

    Args:
        text: What a checkpoint has for the text of a config.

    Returns:
        A text with the same values, which runs nothing when it is read as a config.

    Raises:
        NotPlainError: If there is more: any other Python, a base, an import, or a class of a package that is none of
            ``SCOPES``.
    """
    if len(text) > _LONGEST:
        raise NotPlainError(f'{len(text):,} characters, which no config has')
    try:
        body = ast.parse(text).body
        values = dict(_assignments(body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) if isinstance(error, NotPlainError) else f'no readable config ({type(error).__name__})'
        raise NotPlainError(reason) from None
    _check(values)
    return ''.join(f'{name} = {_written(value)}\n' for name, value in values.items())


def without_code(content: Any) -> list[str]:
    """Make the texts of configs in a checkpoint plain, and take out those that are not.

    Args:
        content: What was read from the file; it is changed.

    Returns:
        One line for each text that was taken out: where it was, and why.
    """
    removed = []
    for place, parent, key in _texts(content):
        text = parent[key]
        try:
            if not isinstance(text, str):
                raise NotPlainError(f'a {type(text).__name__}, not a text')
            parent[key] = plain_config(text)
        except NotPlainError as error:
            del parent[key]
            removed.append(f'{place} holds {error}')
    return removed


def _texts(content: Any) -> Iterator[tuple[str, MutableMapping[str, Any], str]]:
    """Where mmengine looks for the text of a config."""
    if not isinstance(content, dict):
        return
    meta, hub = content.get('meta'), content.get('message_hub')
    runtime_info = hub.get('runtime_info') if isinstance(hub, dict) else None
    for place, parent, keys in (
        ('meta', meta, ('config', 'cfg')),
        ('message_hub.runtime_info', runtime_info, ('cfg', 'config')),
    ):
        if isinstance(parent, dict):
            yield from ((f'{place}.{key}', parent, key) for key in keys if key in parent)


def _assignments(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
            raise NotPlainError(f'code in line {node.lineno}')
        yield node.targets[0].id, _value(node.value)


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=int() | float())):
            number: Any = node.operand.value  # type: ignore[attr-defined]  # the pattern says it
            return -number if isinstance(node.op, ast.USub) else number
        case ast.List() | ast.Tuple() | ast.Set():
            kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
            return kind(_value(item) for item in node.elts)
        case ast.Dict():
            if None in node.keys:
                raise NotPlainError(f'code in line {node.lineno}')
            return {_hashable(key): _value(value) for key, value in zip(node.keys, node.values)}
        case ast.Call(func=ast.Name(id='dict'), args=[]) if all(keyword.arg for keyword in node.keywords):
            return {keyword.arg: _value(keyword.value) for keyword in node.keywords}
        case ast.Call(
            func=ast.Name(id='float'), args=[ast.Constant(value='inf' | '-inf' | 'nan' as text)], keywords=[]
        ):
            return float(text)
    raise NotPlainError(f'code in line {node.lineno}')


def _hashable(node: ast.expr | None) -> Any:
    if not isinstance(node, ast.Constant):
        raise NotPlainError(f'code in line {getattr(node, "lineno", 0)}')
    return _value(node)


def _check(value: Any) -> None:
    """Look at all names that mmengine would import or look up, at any depth."""
    if isinstance(value, str) and '{{' in value:
        raise NotPlainError(f'a reference to other values ({_short(value)})')
    if isinstance(value, Mapping):
        for key, inside in value.items():
            _check(key)
            _check_entry(key, inside)
            _check(inside)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _check(item)


def _check_entry(key: Any, value: Any) -> None:
    if key == '_base_':
        raise NotPlainError(f'a base ({_short(value)})')
    if key == 'custom_imports':
        modules = value.get('imports', ()) if isinstance(value, Mapping) else value
        modules = [modules] if isinstance(modules, str) else modules
        for module in modules or ():
            if not isinstance(module, str) or module.split('.')[0] not in SCOPES:
                raise NotPlainError(f'an import ({_short(module)})')
    if key in _SCOPE_KEYS and value is not None and value not in SCOPES:
        raise NotPlainError(f'a scope that is none of {", ".join(sorted(SCOPES))} ({_short(value)})')
    if key == 'type' and isinstance(value, str) and not _is_known_class(value):
        raise NotPlainError(f'a class that is none of {", ".join(sorted(SCOPES))} ({_short(value)})')
    if key in _EVALUATED and isinstance(value, str) and not re.fullmatch(r'[\w.]+', value):
        raise NotPlainError(f'code for `{key}` ({_short(value)})')


@cache
def _is_known_class(name: str) -> bool:
    """Whether a ``type`` can only mean something that one of the known packages registers."""
    if re.fullmatch(r'torchvision/\w+', name):  # as mmpretrain calls torchvision's transforms
        return True
    if not re.fullmatch(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)*', name):
        return False
    scope, _, rest = name.partition('.')
    if not rest:  # mmengine imports a module of that name where nothing is registered under it
        return importlib.util.find_spec(name) is None
    if '.' not in rest:
        return scope in SCOPES and (rest[0].isupper() or rest in _FUNCTIONS)
    if scope not in SCOPES and not name.startswith(_ELSEWHERE):
        return False
    # A long path can lead through one module to what that imports: `mmengine.utils.package_utils.subprocess.Popen`.
    module, _, attribute = name.rpartition('.')
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return inspect.isclass(found) and found.__module__.split('.')[0] == scope


def _written(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, dict):
        return '{' + ', '.join(f'{_written(key)}: {_written(inside)}' for key, inside in value.items()) + '}'
    if isinstance(value, (list, tuple, set)):
        items = ', '.join(map(_written, value))
        if isinstance(value, list):
            return f'[{items}]'
        if isinstance(value, set):
            return f'{{{items}}}' if value else 'set()'
        return f'({items},)' if value else '()'
    return repr(value)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + '...'
