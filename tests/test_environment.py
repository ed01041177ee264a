"""What is said of machine, versions and commit."""

import json
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from hrnet_plugins import environment


def test_versions_are_of_what_imports(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)  # importing it raises
    found = environment.versions(('torch', 'timm', 'no_such_module'))
    assert found == {'torch': sys.modules['torch'].__version__}


def test_each_module_of_the_stack_has_one_distribution():
    found = environment.distributions()
    assert len(found) == len(environment.DISTRIBUTIONS)
    for names in environment.DISTRIBUTIONS.values():
        (name,) = [name for name in names if name in found]
        assert found[name] == metadata.version(name)


def test_description_goes_into_a_report():
    found = environment.describe()
    assert json.loads(json.dumps(found)) == found
    assert found['memory_gib'] > 0
    assert found['cores'] >= 1
    assert {'torch', 'mmengine', 'mmcv'} <= found['versions'].keys()


def test_it_is_quick_to_import():
    code = "import sys, hrnet_plugins.environment; sys.exit(bool({'torch', 'mmengine'} & sys.modules.keys()))"
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.fixture
def git(tmp_path):
    """A function that runs git in a checkout with one commit of three files, two of them in the folder ``work``."""
    checkout = tmp_path / 'checkout'

    def run(*arguments):
        command = ['git', '-C', checkout, '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (checkout / 'work').mkdir(parents=True)
    for name in ('code.py', 'work/results-cpu.json', 'work/other.py'):
        (checkout / name).touch()
    run('init')
    run('add', '.')
    run('commit', '-m', 'first')
    return run


@pytest.mark.parametrize(
    ('changed', 'written', 'dirty'),
    [
        (None, [], False),
        ('work/results-cpu.json', [], True),
        ('work/results-cpu.json', ['results*.json'], False),
        ('work/results-cpu.json', ['{checkout}/work/results-cpu.json'], False),
        ('work/results-cpu.json', ['../work'], False),
        ('work/other.py', ['results*.json'], True),
        ('code.py', ['results*.json'], True),
        ('code.py', ['{checkout}/../elsewhere', '/'], True),
        ('new.py', [], False),  # not tracked
    ],
)
def test_commit_is_dirty_where_others_files_differ(changed, written, dirty, git, tmp_path):
    checkout = tmp_path / 'checkout'
    if changed:
        (checkout / changed).write_text('changed')
    written = [name.format(checkout=checkout) for name in written]
    commit = git('rev-parse', '--short', 'HEAD')
    assert environment.commit_of(checkout / 'work', written=written) == commit + '-dirty' * dirty


def test_commit_is_unknown_without_a_checkout_or_git(tmp_path, monkeypatch):
    assert environment.commit_of(tmp_path) == 'unknown'
    monkeypatch.setenv('PATH', str(tmp_path))
    assert shutil.which('git') is None
    assert environment.commit_of(Path(__file__).parent) == 'unknown'


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere one that has ended counts as running until it is asked')
def test_a_process_that_has_ended_does_not_run_though_nobody_asked_for_it():
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE) as child:  # noqa: S607, ends with its input
        assert environment.is_running(child.pid)
        child.stdin.close()
        until = time.monotonic() + 20
        while environment.is_running(child.pid) and time.monotonic() < until:
            time.sleep(0.01)
        assert not environment.is_running(child.pid)
    assert not environment.is_running(child.pid)
