"""Functions that wait for a module."""

import importlib
import sys
import textwrap

import pytest

from hrnet_plugins.import_hooks import when_imported


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder on the path with a package that may be imported, a broken module, and what waits for them."""
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    (tmp_path / 'awaited').mkdir()
    (tmp_path / 'awaited' / '__init__.py').write_text('')
    (tmp_path / 'awaited' / 'inner.py').write_text('value = 1\n')
    (tmp_path / 'awaited' / 'broken.py').write_text('1 / 0\n')
    (tmp_path / 'waiting.py').write_text(
        textwrap.dedent("""
        seen = []
        def note(module):
            seen.append((module.__name__, module.value))
        """)
    )
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition('.')[0] in ('awaited', 'waiting')]:
        del sys.modules[name]


def test_the_function_is_called_once_after_the_module_has_run(place):
    when_imported('awaited.inner', 'waiting', 'note')
    assert 'waiting' not in sys.modules
    importlib.import_module('awaited')
    assert 'waiting' not in sys.modules
    importlib.import_module('awaited.inner')
    importlib.reload(sys.modules['awaited.inner'])
    assert sys.modules['waiting'].seen == [('awaited.inner', 1)]


def test_a_module_that_is_there_is_not_waited_for(place):
    importlib.import_module('awaited.inner')
    before = list(sys.meta_path)
    when_imported('awaited.inner', 'waiting', 'note')
    assert sys.modules['waiting'].seen == [('awaited.inner', 1)]
    assert sys.meta_path == before


def test_a_module_that_fails_or_is_not_there_fails_as_without(place):
    when_imported('awaited.broken', 'waiting', 'note')
    when_imported('awaited.absent', 'waiting', 'note')
    with pytest.raises(ZeroDivisionError):
        importlib.import_module('awaited.broken')
    with pytest.raises(ModuleNotFoundError, match=r'awaited\.absent'):
        importlib.import_module('awaited.absent')
    assert 'waiting' not in sys.modules
