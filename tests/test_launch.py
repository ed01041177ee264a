"""What ``hrnet-plugins train`` starts ends with it, and an error of ours is one line."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hrnet_plugins import launch
from hrnet_plugins.recipes import read_config
from tests.helpers.processes import environment

STARTER = """
import sys
from pathlib import Path
from hrnet_plugins import launch
launch.sys.executable = sys.argv[1]
sys.exit(launch.start('train', 'mmdet', Path('x.py'), [], framework='mmdet', trust=False))
"""
TOOL = """#!{python}
import os, sys, time
sys.path[:0] = {path!r}.split(os.pathsep)
from hrnet_plugins.launch import _end_with_starter
_end_with_starter()
open({note!r}, 'w').write(str(os.getpid()) + ' ' + os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD', ''))
time.sleep(100)
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=str)
def test_a_training_ends_with_its_starter(number, tmp_path):
    note, tool = tmp_path / 'note', tmp_path / 'tool'
    tool.write_text(TOOL.format(python=sys.executable, path=environment()['PYTHONPATH'], note=str(note)))
    tool.chmod(0o755)
    argv = [sys.executable, '-c', STARTER, tool]
    # A test run in the background ignores some of the signals, and so would what it starts.
    starter = subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None,  # noqa: PLW1509
    )
    try:
        wait_for(lambda: note.exists() and note.read_text())
        pid, safe = note.read_text().split(' ')
        assert safe == '1', 'torch is told to load weights only'
        starter.send_signal(number)
        wait_for(lambda: not is_running(int(pid)))
        assert starter.wait(30) != 0
    finally:
        starter.kill()
        starter.wait()


def wait_for(condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] != 'Z'


def test_the_exit_code_is_the_tools(tmp_path):
    tool = tmp_path / 'tool'
    tool.write_text('#!/bin/sh\nexit 7\n')
    tool.chmod(0o755)
    done = subprocess.run([sys.executable, '-c', STARTER, tool], env=environment(), check=False)
    assert done.returncode == 7


def test_only_errors_of_ours_are_one_line(tmp_path):
    with pytest.raises(ValueError, match='is neither a file nor a recipe') as ours:
        launch.recipe_path('nothing at all')
    assert launch._is_ours(ours.value)
    with pytest.raises(ValueError, match='invalid literal') as theirs:
        int('x')
    assert not launch._is_ours(theirs.value)


@pytest.mark.parametrize('deep', [False, True], ids=['itself', 'its base'])
def test_a_framework_that_is_not_there_is_said(deep, tmp_path, monkeypatch):
    (tmp_path / 'base.py').write_text("_base_ = 'mmseg::_base_/default_runtime.py'\n")
    (tmp_path / 'x.py').write_text("_base_ = './base.py'\n")
    find = launch.importlib.import_module('importlib.util').find_spec
    monkeypatch.setattr('importlib.util.find_spec', lambda name, *rest: None if name == 'mmseg' else find(name, *rest))

    def fail(path):
        raise ModuleNotFoundError('mmseg is not installed')

    monkeypatch.setattr('mmengine.config.Config.fromfile', fail)
    with pytest.raises(ValueError, match=r"mmseg is not installed: pip install 'hrnet-plugins\[onedl\]'"):
        read_config(tmp_path / ('x.py' if deep else 'base.py'))
