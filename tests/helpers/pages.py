"""The pages of the documentation, and the blocks of code on them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.paths import ROOT

PAGES = sorted(
    path
    for pattern in ('README.md', 'CONTRIBUTING.md', 'docs/**/*.md', 'configs/**/README.md', 'examples/README.md')
    for path in ROOT.glob(pattern)
)
_BLOCK = re.compile(
    r'(?:^ *<!-- (?P<mark>not run|run by (?P<test>\S+)): (?P<reason>[^\n]*?) -->\n)?'
    r'^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$',
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Args:
        page: Its page, from the root of the checkout.
        line: Where it begins.
        language: What stands after the fence; may be empty.
        code: The text.
        reason: Why it is not run as it stands, from the comment before it; empty if it is.
        test: The test that runs it, where the comment names one instead.
    """

    page: str
    line: int
    language: str
    code: str
    reason: str = ''
    test: str = ''

    def __str__(self) -> str:
        return f'{self.page}:{self.line}'


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of a page."""
    text = path.read_text(encoding='utf-8')
    for found in _BLOCK.finditer(text):
        yield Block(
            page=path.relative_to(ROOT).as_posix(),
            line=text.count('\n', 0, found.start('code')),
            language=found['language'],
            code=found['code'],
            reason=found['reason'] or '',
            test=found['test'] or '',
        )


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command in a block of shell, without comments; continued lines are one command."""
    for line in block.code.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words
