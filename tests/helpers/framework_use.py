"""Which tests touch the OpenMMLab packages: those the second stack must run too. Decided by import, from the source.

A test touches them if a name that it uses leads to an import of one: in its body, in a function, fixture or constant of
its file, in a helper, a benchmark or a project that it imports, or in the module of the product that it names and those
which that imports. Computed imports and other programs count as well, since nobody sees what they import.

The network itself does not count. Its base class and layer factories (``NETWORK``) are the same on both stacks, and
each test that builds a model in a framework runs them on both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.helpers.paths import ROOT

PACKAGES = {'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'mim'}
"""The packages of which the two stacks have different versions."""
FRAMEWORKS = ('mmdet', 'mmseg', 'mmpretrain', 'mim')
"""Those that the network can do without."""
NETWORK = {'mmcv.cnn', 'mmengine.model', 'mmengine.logging', 'mmengine.registry', 'mmengine.runner.checkpoint'}
"""What the backbone, the necks and their checkpoints stand on."""
PROGRAMS = {'subprocess', 'multiprocessing', 'torch.multiprocessing'}
"""What starts programs, which may import anything."""
OURS = {'tests', 'benchmarks', 'projects'}
"""Code around the product, which is followed name by name."""


@dataclass(frozen=True)
class Import:
    """An import as it is written: ``import module`` or ``from module import name``."""

    module: str
    name: str | None = None

    @property
    def path(self) -> str:
        """The module that is imported from, or with."""
        inner = f'{self.module}.{self.name}'
        return inner if self.name and source_of(inner) else self.module


@dataclass(frozen=True)
class Source:
    """A module's code: its tree, and where each of its global names comes from."""

    tree: ast.Module
    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Import]

    @property
    def always(self) -> list[ast.stmt]:
        """What pytest applies to every test of the file."""
        fixtures = [n for found in self.definitions.values() for n in found if isinstance(n, ast.FunctionDef)]
        return [*self.definitions.get('pytestmark', []), *(n for n in fixtures if _is_autouse(n))]


def touches_frameworks(path: Path, test: str) -> bool:
    """Whether a test function of a file touches the packages."""
    folders = [folder for folder in path.parents if folder.is_relative_to(ROOT / 'tests')]
    conftests = [read(folder / 'conftest.py') for folder in folders if (folder / 'conftest.py').is_file()]
    common = read(ROOT / 'tests' / 'conftest.py')  # whose fixtures for all tests do not count, or all would be marked
    search = _Search((*conftests, common))
    local = [read(path), *(conftest for conftest in conftests if conftest is not common)]
    return any(search.node(node, source) for source in local for node in source.always) or search.name(test, local[0])


@cache
def read(path: Path) -> Source:
    """Parse a module."""
    tree = ast.parse(path.read_text())
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Import] = {}
    for node in _statements(tree.body):
        imports.update(_imported(node))
        for name in _defined(node):
            definitions.setdefault(name, []).append(node)
    return Source(tree, definitions, imports)


@cache
def source_of(module: str) -> Path | None:
    """The file of a module of this checkout."""
    stem = ROOT.joinpath(*module.split('.'))
    return next((path for path in (stem.with_suffix('.py'), stem / '__init__.py') if path.is_file()), None)


class _Search:
    """What a test reaches, name by name.

    Args:
        conftests: The files whose fixtures the test may ask for, the nearest first.
    """

    def __init__(self, conftests: Sequence[Source]) -> None:
        self.conftests = conftests
        self.seen: set[tuple[int, str]] = set()

    def name(self, name: str, source: Source) -> bool:
        """Whether a name touches the packages as a module's code means it."""
        if (id(source), name) in self.seen:
            return False
        self.seen.add((id(source), name))
        if name in source.definitions:
            return any(self.node(node, source) for node in source.definitions[name])
        if name in source.imports:
            return self.imported(source.imports[name])
        return any(self.name(name, other) for other in self.conftests if name in other.definitions)

    def node(self, node: ast.AST, source: Source) -> bool:
        """Whether a piece of a module's code does."""
        for part in ast.walk(node):
            if any(self.imported(found) for _, found in _imported(part)) or _computes_import(part):
                return True
            if any(self.name(name, source) for name in _used(part)):
                return True
        return False

    def imported(self, found: Import) -> bool:
        """Whether what is imported does."""
        top = found.module.split('.')[0]
        if top in PACKAGES or {found.path, f'{found.module}.{found.name}'} & PROGRAMS:
            return True
        path = source_of(found.path)
        if path is None or top not in OURS:
            return path is not None and _product_touches(found)
        source = read(path)
        if found.name and found.path == found.module:
            return self.name(found.name, source)
        return any(self.node(node, source) for node in source.tree.body)


@cache
def _product_touches(found: Import) -> bool:
    """Whether a module of the product, or one that it imports, needs more of the packages than a network does."""
    return any(_needs_packages(path) for path in _reached(found, set()))


def _reached(found: Import, seen: set[Path]) -> set[Path]:
    """The modules of the product that an import leads to."""
    path = source_of(found.path)
    if path is None or not found.module.startswith('hrnet_plugins'):
        return seen
    handed_on = read(path).imports if found.path == found.module else {}  # by a package, of what its modules define
    if found.name in handed_on:
        return _reached(handed_on[found.name], seen)
    if path not in seen:
        seen.add(path)
        for inner in _all_imports(path):
            _reached(inner, seen)
    return seen


@cache
def _needs_packages(path: Path) -> bool:
    if any(_computes_import(part) for part in ast.walk(read(path).tree)):
        return True
    outer = [i for i in _all_imports(path) if i.module.split('.')[0] in PACKAGES]
    return any(not {i.module, f'{i.module}.{i.name}'} & NETWORK for i in outer)


@cache
def _all_imports(path: Path) -> list[Import]:
    return [found for part in ast.walk(read(path).tree) for _, found in _imported(part)]


def _used(node: ast.AST) -> list[str]:
    """Names that a node reads; fixtures are arguments, or strings for ``usefixtures`` and ``getfixturevalue``."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those of its branches too, such as ``if TYPE_CHECKING``."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _statements([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt)])


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.With, ast.Expr)):
        return []
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _imported(node: ast.AST) -> list[tuple[str, Import]]:
    if isinstance(node, ast.Import):
        return [(a.asname or a.name.split('.')[0], Import(a.name)) for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [(a.asname or a.name, Import(node.module, a.name)) for a in node.names]
    return []


def _computes_import(node: ast.AST) -> bool:
    """Whether a call imports one of the packages by name, or by a name that only running it would tell."""
    if not isinstance(node, ast.Call):
        return False
    called = getattr(node.func, 'attr', None) or getattr(node.func, 'id', None)
    if called not in ('import_module', 'importorskip', '__import__') or not node.args:
        return False
    name = node.args[0]
    return not isinstance(name, ast.Constant) or str(name.value).split('.')[0] in PACKAGES


def _is_autouse(node: ast.FunctionDef) -> bool:
    return any(
        keyword.arg == 'autouse'
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
    )
