"""The notebooks in examples/: they have no outputs, one cell installs, and the others run from empty to end."""

import ast
import json
import re

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.processes import run

NOTEBOOKS = sorted((ROOT / 'examples').glob('*.ipynb'))


def cells(path):
    """The sources of a notebook's cells of code, but the one that installs."""
    found = [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']
    return [''.join(cell['source']) for cell in found if 'install' not in cell['metadata'].get('tags', ())]


def test_the_page_lists_them():
    listed = re.findall(r'\]\(([\w-]+\.ipynb)\)', (ROOT / 'examples' / 'README.md').read_text())
    assert sorted(listed) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_empty_and_begin_with_the_installation(path):
    notebook = json.loads(path.read_text())
    assert notebook['nbformat'] == 4
    assert len({cell['id'] for cell in notebook['cells']}) == len(notebook['cells'])
    first, *rest = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert first['metadata'] == {'tags': ['install']}
    assert 'hrnet-plugins mmcv-ops install' in ''.join(first['source'])
    for cell in (first, *rest):
        assert cell['outputs'] == []
        assert cell['execution_count'] is None
    for source in cells(path):
        ast.parse(source)
        assert max(map(len, source.splitlines())) <= 120


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path, tmp_path):
    script = tmp_path / 'notebook.py'
    script.write_text('\n\n'.join(cells(path)))
    run(tmp_path, '-W', 'ignore', script, timeout=3000, MPLBACKEND='agg', HRNET_PLUGINS_CACHE=str(tmp_path / 'cache'))
