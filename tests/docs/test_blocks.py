"""What the pages show is run: Python in one namespace a page, commands of ours in this process.

Plugins of pytest for Markdown run Python alone, or sessions that print; most of what stands here are commands, and
whether these work is the command line's to say. What cannot be run says why in a comment before it, and even then its
commands must parse and its names exist.
"""

import importlib.util
import re

import pytest
from click.testing import CliRunner

from hrnet_plugins import cli
from hrnet_plugins.recipes import recipes
from hrnet_plugins.weights.catalog import CATALOG
from tests.helpers.command_lines import parse
from tests.helpers.pages import PAGES, blocks, commands
from tests.helpers.paths import ROOT

BLOCKS = [block for page in PAGES for block in blocks(page)]
PYTHON = sorted({block.page for block in BLOCKS if block.language == 'python' and not (block.reason or block.test)})
SHELL = [block for block in BLOCKS if block.language == 'bash']
RUNNABLE = ('list', 'path', 'weights', 'doctor')
"""Commands of ours that neither train nor fetch; `weights` with --probe asks the network."""
UNMARKED = ('configs/', 'CONTRIBUTING.md', 'docs/torture.md')
"""Pages whose commands all train or test, or change the checkout: they are parsed, and need no mark."""
RECIPE = re.compile(r'\b(?:[a-z]+-)*(?:rcnn|htc|fcos|fcn|ocr|hrnet)_?(?:hrnet|r\d+|-w\d)[\w.-]*_[\w-]+')


@pytest.mark.frameworks  # what the pages run is not to be seen from this module's imports
@pytest.mark.parametrize('page', PYTHON)
def test_python_runs(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    namespace = {'__name__': 'page'}
    for block in BLOCKS:
        if block.page == page and block.language == 'python' and not (block.reason or block.test):
            code = '\n' * block.line + block.code  # errors name the line of the page
            exec(compile(code, str(ROOT / page), 'exec'), namespace)  # noqa: S102, it is ours


@pytest.mark.parametrize('block', [b for b in SHELL if not b.reason and not b.page.startswith(UNMARKED)], ids=str)
def test_commands_run(block):
    for words in commands(block):
        assert words[0] == 'hrnet-plugins', f'{words}: not a command of ours, so say in a comment why it is not run'
        assert words[1] in RUNNABLE, f'{words}: say in a comment why it is not run'
        done = CliRunner().invoke(cli.main, words[1:])
        assert done.exit_code == 0, done.output
        assert done.output.strip()


@pytest.mark.parametrize('block', SHELL, ids=str)
def test_commands_parse(block):
    for words in commands(block):
        if words[0] == 'hrnet-plugins':
            parse(cli.main, words[1:])
        elif words[0] == 'make':
            assert re.search(rf'^{words[1]}:', (ROOT / 'Makefile').read_text(), re.MULTILINE), words
        elif words[:2] == ['python', '-m'] and words[2] != 'pytest':
            assert importlib.util.find_spec(words[2]), words


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_names_exist(page):
    text = page.read_text()
    for name in re.findall(r'hrnet://(\w[\w.-]*)', text):
        assert name.rstrip('.') in CATALOG or name.isupper(), name
    for block in blocks(page):
        for found in RECIPE.findall(block.code):
            name = found.removesuffix('.py').removesuffix('.pth').rstrip('.')
            known = name in recipes() or name in CATALOG or (ROOT / 'projects/digits' / f'{name}.py').exists()
            assert known or any(recipe.startswith(name) for recipe in recipes()), f'{block}: {name}'


@pytest.mark.parametrize('block', [block for block in BLOCKS if block.test], ids=str)
def test_blocks_that_others_run_name_a_test_that_is_there(block):
    assert (ROOT / block.test).is_file()
    assert block.page.rpartition('/')[2] in (ROOT / block.test).read_text()


def test_every_mark_stands_before_a_block():
    marks = sum(len(re.findall(r'^ *<!-- (?:not run|run by )', page.read_text(), re.MULTILINE)) for page in PAGES)
    assert marks == sum(bool(block.reason) for block in BLOCKS)
    assert all(len(block.reason) > 10 for block in BLOCKS if block.reason)


def test_other_languages_are_run_or_say_why_not():
    kinds = {block.language for block in BLOCKS}
    assert kinds <= {'', 'text', 'bash', 'python', 'cpp', 'bibtex'}
    assert all(block.reason for block in BLOCKS if block.language == 'cpp')
