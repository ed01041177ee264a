"""Every error message and warning of the library, from its source, for the page on troubleshooting."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.recipe_tables import markdown

PACKAGE = Path(__file__).parents[1] / 'hrnet_plugins'
_ERROR = re.compile(r'\w*(Error|Exception)$')
_WORDS = 4
"""A text with fewer words says nothing by itself: it is a part of another one."""


def table() -> str:
    """The messages by room; ``…`` stands for what differs from case to case."""
    return markdown(['where', 'what it says, and what to do'], sorted(set(_rows())))


def messages(source: str) -> Iterator[str]:
    """The messages in the text of a module."""
    for node in ast.walk(ast.parse(source)):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not (isinstance(call, ast.Call) and call.args and _tells(call.func, isinstance(node, ast.Raise))):
            continue
        text = ' '.join(_text(call.args[0]).split())
        if len(re.findall(r'[A-Za-z]{2,}', text)) >= _WORDS:
            yield text


def _tells(function: ast.expr, raised: bool) -> bool:
    name = ast.unparse(function).rpartition('.')[2]
    return bool(_ERROR.match(name)) if raised else name == 'warn'


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(_text(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return '…'


def _rows() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob('*.py')):
        room = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
        for text in messages(path.read_text(encoding='utf-8')):
            yield f'`{room}`', _escaped(text)


def _escaped(text: str) -> str:
    """The text with its signs kept from meaning something in Markdown, outside of code."""
    parts = text.replace('|', r'\|').split('`')
    outside = [re.sub(r'([*_<\[\]])', r'\\\1', part) for part in parts[::2]]
    parts[::2] = outside
    return '`'.join(parts)
