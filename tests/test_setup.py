"""The set-up script: what it refuses before it downloads, and what it does not do twice."""

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture
def checkout(tmp_path):
    """The files that the script reads, in a folder of their own, and a folder for stand-in commands."""
    for name in ('requirements', 'hrnet_plugins'):
        (tmp_path / name).mkdir()
    for name in ('requirements/setup.sh', 'requirements/onedl.txt', 'pyproject.toml', 'hrnet_plugins/__init__.py'):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / 'bin').mkdir()
    return tmp_path


def command(checkout: Path, name: str, script: str) -> str:
    path = checkout / 'bin' / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return str(path)


def setup(checkout: Path, stack: str = 'onedl', venv: str = '.venv', **env: str) -> subprocess.CompletedProcess:
    path = f'{checkout / "bin"}:{os.environ["PATH"]}'
    return subprocess.run(
        [checkout / 'requirements' / 'setup.sh', stack, venv],
        check=False, capture_output=True, text=True, env={**os.environ, 'PATH': path, **env},
    )  # fmt: skip


# A Python that passes every check and then cannot make an environment: a set-up that stops early.
STOPS = 'case "$*" in *version_info*) echo 3.11 ;; *"-m venv"*) touch .venv/pyvenv.cfg; exit 1 ;; esac'


@pytest.mark.parametrize(
    ('case', 'message'),
    [
        ('stack', 'STACK (caffe) is unknown; known: onedl, openmmlab.'),
        ('no linux', 'the locked stack is for Linux on x86_64, this is Darwin arm64.'),
        ('no python', 'no-such-python is not there: install Python 3.11 or set PYTHON to its path.'),
        ('old python', 'is Python 3.8, the locked stack is for 3.11: set PYTHON to one.'),
        ('no venv', 'has no venv module: install python3.11-venv.'),
        ('no headers', 'are not there: install python3.11-dev.'),
        ('no compiler', 'no C++ compiler (no-such-compiler) to compile mmcv with: install g++.'),
        ('no space', '0 GB are free beside .venv, 10 GB are needed.'),
        ('foreign folder', '.venv exists and was not made by this script: move it away, or name another with VENV=.'),
    ],
)
def test_refused_in_one_sentence_before_anything_is_made(checkout, case, message):
    good = command(checkout, 'good', STOPS)
    python = {
        'no python': 'no-such-python',
        'old python': command(checkout, 'old', 'echo 3.8'),
        'no venv': command(checkout, 'bare', 'case "$*" in *version_info*) echo 3.11 ;; *ensurepip*) exit 1 ;; esac'),
        'no headers': command(checkout, 'lean', 'case "$*" in *version_info*) echo 3.11 ;; *Python.h*) exit 1 ;; esac'),
    }.get(case, good)
    env = dict(PYTHON=python)
    if case == 'no compiler':
        env['CXX'] = 'no-such-compiler'
    if case == 'no linux':
        command(checkout, 'uname', 'echo Darwin arm64')
        command(checkout, 'flock', 'exit 127')  # macOS has none
    if case == 'no space':
        command(checkout, 'df', 'printf "head\\n/dev/x 1 1 1000 1 /\\n"')
    if case == 'foreign folder':
        (checkout / '.venv').mkdir()
        (checkout / '.venv' / 'precious').touch()
        (checkout / '.venv' / 'pyvenv.cfg').touch()  # somebody's own environment
    done = setup(checkout, 'caffe' if case == 'stack' else 'onedl', **env)
    assert done.returncode == 1
    assert done.stderr.startswith('set-up: ')
    assert done.stderr.strip().endswith(message)
    assert len(done.stderr.splitlines()) == 1
    made = set(os.listdir(checkout / '.venv')) if (checkout / '.venv').exists() else set()
    assert made == ({'precious', 'pyvenv.cfg'} if case == 'foreign folder' else set())


def test_unfinished_environment_is_never_taken_for_whole(checkout):
    python = command(checkout, 'good', STOPS)
    assert setup(checkout, PYTHON=python).returncode == 1
    (checkout / '.venv' / 'half').touch()
    again = setup(checkout, PYTHON=python)
    assert again.returncode == 1
    assert 'is unfinished or out of date, building it anew' in again.stdout
    assert not (checkout / '.venv' / 'half').exists()
    assert not (checkout / '.venv' / '.ready').exists()


def test_an_environment_of_an_older_version_is_replaced(checkout):
    (checkout / '.venv' / 'lib').mkdir(parents=True)
    (checkout / '.venv' / '.ready').write_text('of another lock\n')  # all that older versions left
    done = setup(checkout, venv='.venv/', PYTHON=command(checkout, 'good', STOPS))
    assert 'set-up: .venv is unfinished or out of date' in done.stdout
    assert set(os.listdir(checkout / '.venv')) == {'.setup', 'pyvenv.cfg'}, done.stderr


def test_two_set_ups_of_one_environment_wait_for_each_other(checkout):
    waits = '*"-m venv"*) echo begin >>order; sleep 1; echo end >>order; exit 1 ;;'
    python = command(checkout, 'good', f'case "$*" in *version_info*) echo 3.11 ;; {waits} esac')
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: setup(checkout, PYTHON=python), range(2)))
    assert (checkout / 'order').read_text().split() == ['begin', 'end'] * 2
    assert sum('waiting for another set-up of .venv.' in run.stdout for run in done) == 1


def test_finished_environment_is_left_alone(checkout):
    lock = (checkout / 'requirements/onedl.txt').read_bytes()
    key = hashlib.sha256(lock + (checkout / 'requirements/setup.sh').read_bytes()).hexdigest()[:16]
    package = (checkout / 'pyproject.toml').read_bytes() + (checkout / 'hrnet_plugins/__init__.py').read_bytes()
    venv = checkout / '.venv'
    venv.mkdir()
    (venv / '.ready').write_text(f'{key}\n')
    (venv / '.project').write_text(f'{checkout}-{hashlib.sha256(package).hexdigest()[:16]}\n')
    done = setup(checkout, PYTHON='no-such-python')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    (checkout / 'requirements/onedl.txt').write_bytes(lock + b'# changed\n')
    assert 'no-such-python is not there' in setup(checkout, PYTHON='no-such-python').stderr
