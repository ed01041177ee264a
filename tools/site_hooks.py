"""What mkdocs does besides: files outside of docs/ that its pages link come with the site, so that no link is dead.

Pages in ``docs/`` link files of the checkout by their real paths, such as ``../benchmarks/digits/README.md``, which
also work where the pages are read in the checkout. In the site such a file has its path in the checkout, a Markdown
file as a page, any other as it is.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ALWAYS = ('CHANGELOG.md', 'CONTRIBUTING.md')
"""Pages of the site that are at the top of the checkout."""
LINK = re.compile(r'(?P<start>\]\(|<img [^>]*src=")(?P<target>[^)\s"#]+)(?P<anchor>#[^)\s"]*)?(?=[)\s"])')
CODE = re.compile(r'^( *)```.*?^\1```$', re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the linked files, and what those link in turn."""
    todo = [(ROOT / 'docs' / file.src_uri) for file in files.documentation_pages()]
    todo += [ROOT / name for name in ALWAYS]
    for name in ALWAYS:
        files.append(_file(ROOT / name, config))
    seen = set(todo)
    while todo:
        for path in outside(todo.pop()):
            if path not in seen:
                seen.add(path)
                files.append(_file(path, config))
                if path.suffix == '.md':
                    todo.append(path)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links to where the files are in the site."""
    here = _source(page.file.src_uri)

    def link(match: re.Match[str]) -> str:
        path = resolve(here, match['target'])
        if path is None:
            return match[0]
        target = posixpath.relpath(_place(path), posixpath.dirname(page.file.src_uri) or '.')
        return f'{match["start"]}{target}{match["anchor"] or ""}'

    return outside_of_code(markdown, lambda text: LINK.sub(link, text))


def outside(page: Path) -> Iterator[Path]:
    """The files outside of docs/ that a page links.

    Raises:
        ValueError: If one is not there.
    """
    texts: list[str] = []
    outside_of_code(page.read_text(encoding='utf-8'), lambda text: texts.append(text) or text)
    for match in LINK.finditer('\n'.join(texts)):
        path = resolve(page, match['target'])
        if path is None or path.is_relative_to(ROOT / 'docs'):
            continue
        if not path.is_file():
            raise ValueError(f'{page.relative_to(ROOT)} links {match["target"]}, which is no file')
        yield path


def resolve(page: Path, target: str) -> Path | None:
    """The file of the checkout that a link names; ``None`` for an address or a part of the same page."""
    if re.match(r'[a-z]+:|//|#', target):
        return None
    path = Path(os.path.normpath(page.parent / target))
    return path if path.is_relative_to(ROOT) else None


def outside_of_code(markdown: str, change: Any) -> str:
    """The text with a change made to all of it but the blocks of code."""
    parts, end = [], 0
    for block in CODE.finditer(markdown):
        parts += [change(markdown[end : block.start()]), block[0]]
        end = block.end()
    return ''.join([*parts, change(markdown[end:])])


def _file(path: Path, config: Any) -> File:
    return File.generated(config, _place(path), abs_src_path=str(path))


def _place(path: Path) -> str:
    """Where a file of the checkout is in the site."""
    inside = path.is_relative_to(ROOT / 'docs')
    return path.relative_to(ROOT / 'docs' if inside else ROOT).as_posix()


def _source(uri: str) -> Path:
    inside = ROOT / 'docs' / uri
    return inside if inside.exists() else ROOT / uri
