"""The set-up script: what it refuses before it downloads, what it asks of uv, and what it does not do twice."""

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.setup_script import VERSIONS, Checkout

UV_STOPPED = 'uv could not install, and says why above. What it has is kept: run the same command again to go on.'


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ('case', 'message'),
    [
        ('stack', 'STACK (caffe) is unknown; known: onedl, openmmlab.'),
        ('operators', 'OPS (mine) is unknown; known: torchvision, compiled.'),
        ('no linux', 'the locked stack is for Linux on x86_64, this is Darwin arm64.'),
        ('nowhere', '/proc cannot be written: name another place with VENV=.'),
        ('no python', f'no-such-python is not there: set PYTHON to one of Python {VERSIONS}, or leave it out.'),
        ('none of the pythons', f'none of Python {VERSIONS} is there: install one, or set PYTHON to its path.'),
        ('not this python', 'Python 3.12 is not there: install it, or set PYTHON to its path.'),
        ('broken python', 'broken does not run: set PYTHON to another one.'),
        ('python 2', f'is Python 2.7, the locked stack is for {VERSIONS}: set PYTHON to one.'),
        ('newer python', f'is Python 3.14, the locked stack is for {VERSIONS}: set PYTHON to one.'),
        ('free-threaded', f'is Python 3.13t, the locked stack is for {VERSIONS}: set PYTHON to one.'),
        ('no venv', 'cannot make environments: install python3.11-venv, or uv.'),
        ('no headers', 'are not there: install python3.11-dev.'),
        ('no compiler', 'no C++ compiler (no-such-compiler) to compile mmcv with: install g++.'),
        ('compiled on 3.13', 'on Python 3.13: set PYTHON to an older one, or leave out OPS=compiled.'),
        ('no space', '0 GB are free beside .venv, 10 GB are needed.'),
        ('no space in the cache', 'bin, 10 GB are needed: set UV_CACHE_DIR to another folder.'),
        ('foreign folder', '.venv exists and was not made by this script: move it away, or name another with VENV=.'),
    ],
)
def test_refused_in_one_sentence_before_anything_is_made(checkout, case, message):
    env = {'stack': 'caffe' if case == 'stack' else 'onedl'}
    pythons = {
        'no python': lambda: 'no-such-python',
        'none of the pythons': lambda: '',
        'not this python': lambda: '3.12',
        'broken python': lambda: checkout.command('broken', 'exit 1'),
        'python 2': lambda: checkout.python('python', '2.7'),
        'newer python': lambda: checkout.python('newer', '3.14'),
        'free-threaded': lambda: checkout.python('free', '3.13t'),
        'no venv': lambda: checkout.command('bare', 'case "$*" in *version_info*) echo 3.11 ;; *) exit 1 ;; esac'),
        'no headers': lambda: checkout.command('lean', 'case "$*" in *version_info*) echo 3.11 ;; *) exit 1 ;; esac'),
        'compiled on 3.13': lambda: checkout.python('new', '3.13'),
    }
    if case in pythons:
        env['PYTHON'] = pythons[case]()
    if case in ('no headers', 'no compiler', 'compiled on 3.13'):
        env |= dict(OPS='compiled', CXX='no-such-compiler')
    if case == 'operators':
        env['OPS'] = 'mine'
    if case == 'compiled on 3.13':
        env['stack'] = 'openmmlab'
    if case == 'nowhere':
        env['venv'] = '/proc/.venv'
    if case == 'no venv':
        checkout.uv(help='too old')
    if case == 'no linux':
        checkout.command('uname', 'echo Darwin arm64')
        checkout.command('flock', 'exit 127')  # macOS has none
    if case == 'no space':
        checkout.command('df', 'printf "head\\n/dev/x 1 1 1000 1 /\\n"')
    if case == 'no space in the cache':
        checkout.uv(cache=checkout.bin)
        checkout.command('df', 'case "$2" in */bin) free=1000 ;; *) free=99000000 ;; esac; printf "\\nx 1 1 $free\\n"')
    if case == 'foreign folder':
        (checkout.folder / '.venv').mkdir()
        (checkout.folder / '.venv' / 'precious').touch()
        (checkout.folder / '.venv' / 'pyvenv.cfg').touch()  # somebody's own environment
    done = checkout.setup(**env)
    assert done.returncode == 1
    assert done.stderr.startswith('set-up: ')
    assert done.stderr.strip().endswith(message)
    assert len(done.stderr.splitlines()) == 1
    made = set(os.listdir(checkout.folder / '.venv')) if (checkout.folder / '.venv').exists() else set()
    assert made == ({'precious', 'pyvenv.cfg'} if case == 'foreign folder' else set())
    assert not list(checkout.folder.glob('.uv*'))
    assert checkout.asked == []


def test_without_a_compiler_by_default(checkout):
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    make, sync, package = checkout.asked
    assert make.startswith('venv ')
    assert f'--python {checkout.good} ' in make
    assert 'pip sync --config-settings-package onedl-mmcv:operators=none requirements/onedl.txt' in sync
    assert 'pip install --quiet --no-deps --no-build-isolation --editable .' in package
    assert all(shlex.split(line)[-2:] == ['--python', '.venv/bin/python'] for line in (sync, package))
    assert checkout.whole()


@pytest.mark.parametrize(('stack', 'mmcv'), [('onedl', 'onedl-mmcv==2.3.6'), ('openmmlab', 'mmcv==2.1.0')])
def test_mmcv_is_compiled_last_and_where_torch_is(checkout, stack, mmcv):
    done = checkout.setup(stack, OPS='compiled', CXX='sh')
    assert done.returncode == 0, done.stderr
    _, sync, compiling, _ = checkout.asked
    assert 'pip sync - ' in sync
    assert 'torch==2.11.0' in (others := Path(f'{checkout.log}.stdin').read_text())
    assert 'mmcv' not in others
    name = mmcv.split('==')[0]
    assert f'--no-build-isolation --config-settings-package {name}:operators=compiled {mmcv} ' in compiling


@pytest.mark.parametrize(
    ('there', 'taken'),
    [
        (['3.10', '3.12'], '3.12'),
        (['3.11', '3.13'], '3.13'),
        (['3.10'], '3.10'),
    ],
)
def test_the_newest_python_that_runs_is_taken(checkout, there, taken):
    for version in there:
        checkout.python(f'python{version}', version)
    done = checkout.setup(PYTHON='')
    assert done.returncode == 0, done.stderr
    assert f'for Python {taken} ' in done.stdout
    assert f'--python python{taken} ' in checkout.asked[0]


def test_a_python_is_named_by_its_version(checkout):
    checkout.python('python3.13', '3.13')
    checkout.python('python3.10', '3.10')
    done = checkout.setup(PYTHON='3.10')
    assert done.returncode == 0, done.stderr
    assert '--python python3.10 ' in checkout.asked[0]
    assert checkout.setup(PYTHON='3.10').stdout == ''  # it is there
    assert checkout.setup('pythons').stdout.split() == ['3.13', '3.10']


def test_pythons_of_pyenv_are_found_behind_its_stand_ins(checkout):
    (checkout.bin / 'versions' / '3.12.1' / 'bin').mkdir(parents=True)
    checkout.python('versions/3.12.1/bin/python', '3.12')
    checkout.python('python3.10', '3.10')
    done = checkout.setup(PYTHON='')
    assert done.returncode == 0, done.stderr
    assert f'--python {checkout.bin}/versions/3.12.1/bin/python ' in checkout.asked[0]


@pytest.mark.parametrize(
    ('stops', 'message'),
    [
        ('pip sync', UV_STOPPED),
        ('editable', UV_STOPPED),
        ('venv', 'uv could not make .venv, and says why above.'),
        ('imports', 'the onedl stack does not import: the last line above says why.'),
        ('full', 'the disk is full: make 10 GB free beside .venv.'),
    ],
)
def test_what_stops_in_the_middle_is_never_taken_for_whole(checkout, stops, message):
    checkout.uv('pip sync' if stops == 'full' else stops)
    if stops == 'full':  # after the first look
        checkout.command('df', f'[ -e "{checkout.log}" ] && free=1000 || free=99000000; printf "\\nx 1 1 $free\\n"')
    if stops == 'imports':
        checkout.python('good', imports=1)
    first = checkout.setup()
    assert first.returncode == 1
    assert first.stderr.splitlines() == [f'set-up: {message}']
    assert not checkout.whole()
    (checkout.folder / '.venv' / 'half').touch()
    checkout.uv()
    checkout.python('good')
    (checkout.bin / 'df').unlink(missing_ok=True)
    again = checkout.setup()
    assert again.returncode == 0, again.stderr
    assert 'is unfinished or out of date, building it anew' in again.stdout
    assert not (checkout.folder / '.venv' / 'half').exists()
    assert checkout.whole()


def test_killed_in_the_middle_it_is_not_taken_for_whole(checkout):
    checkout.uv('pip sync', 'kill -9 $PPID; exit 1')
    assert checkout.setup().returncode != 0
    assert not checkout.whole()


def test_an_environment_of_an_older_version_is_replaced(checkout):
    (checkout.folder / '.venv' / 'lib').mkdir(parents=True)
    (checkout.folder / '.venv' / '.ready').write_text('of another lock\n')  # all that older versions left
    done = checkout.setup(venv='.venv/')
    assert 'set-up: .venv is unfinished or out of date' in done.stdout
    assert set(os.listdir(checkout.folder / '.venv')) == {'.setup', '.ready', '.project', 'bin'}, done.stderr


def test_two_set_ups_of_one_environment_wait_for_each_other(checkout):
    order = checkout.folder / 'order'
    checkout.uv('pip sync', f'echo begin >>"{order}"; sleep 1; echo end >>"{order}"; exit 1')
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: checkout.setup(), range(2)))
    assert order.read_text().split() == ['begin', 'end'] * 2
    assert sum('waiting for another set-up of .venv.' in run.stdout for run in done) == 1


def test_a_finished_environment_is_left_alone(checkout):
    assert checkout.setup(PYTHON=checkout.python('python3.12', '3.12'), OPS='compiled', CXX='sh').returncode == 0
    asked = len(checkout.asked)
    checkout.command('python3.12', 'exit 127')  # not even needed again
    done = checkout.setup(PYTHON='')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert len(checkout.asked) == asked


@pytest.mark.parametrize('change', ['lock', 'python', 'operators'])
def test_another_lock_python_or_operators_build_it_anew(checkout, change):
    assert checkout.setup().returncode == 0
    env = {}
    if change == 'lock':
        with (checkout.folder / 'requirements/onedl.txt').open('a') as lock:
            lock.write('# changed\n')
    if change == 'python':
        env['PYTHON'] = checkout.python('python3.12', '3.12')
    if change == 'operators':
        env |= dict(OPS='compiled', CXX='sh')
    done = checkout.setup(**env)
    assert done.returncode == 0, done.stderr
    assert 'building it anew' in done.stdout
    assert (checkout.folder / '.venv' / '.setup').read_text().split() == [
        '3.12' if change == 'python' else '3.11',
        'compiled' if change == 'operators' else 'torchvision',
    ]


def test_compiled_operators_stay_when_the_lock_changes(checkout):
    assert checkout.setup(OPS='compiled', CXX='sh').returncode == 0
    with (checkout.folder / 'requirements/onedl.txt').open('a') as lock:
        lock.write('# changed\n')
    assert checkout.setup(CXX='sh').returncode == 0
    assert (checkout.folder / '.venv' / '.setup').read_text() == '3.11 compiled\n'


def test_the_package_alone_is_installed_again_when_its_metadata_changed(checkout):
    assert checkout.setup().returncode == 0
    with (checkout.folder / 'pyproject.toml').open('a') as project:
        project.write('# changed\n')
    asked = len(checkout.asked)
    assert checkout.setup(PYTHON='').returncode == 0
    (line,) = checkout.asked[asked:]
    assert '--editable .' in line


def test_paths_with_spaces(tmp_path):
    (tmp_path / 'my work').mkdir()
    checkout = Checkout(tmp_path / 'my work', 'a check out')
    done = checkout.setup(venv='my env/venv')
    assert done.returncode == 0, done.stderr
    assert checkout.whole('my env/venv')


def test_a_home_that_cannot_be_written_has_its_cache_beside_the_environment(checkout):
    cache = '/proc/self/uv'
    checkout.uv(cache=cache)
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert f"uv's cache ({cache}) cannot be written, keeping what is downloaded in {checkout.folder}/.uv-cache." in (
        done.stdout
    )


def test_other_environments_that_are_active_do_not_matter(checkout):
    active = dict(CONDA_PREFIX='/opt/conda/envs/mine', VIRTUAL_ENV='/home/me/other', UV_SYSTEM_PYTHON='1')
    checkout.uv('pip sync', '[ -z "$UV_SYSTEM_PYTHON" ] || exit 2')
    done = checkout.setup(**active)
    assert done.returncode == 0, done.stderr
    assert all('--python' in line for line in checkout.asked)


def test_uv_is_fetched_once_where_it_is_not_there(checkout):
    (real := Path(checkout.uv())).rename(kept := checkout.bin / 'the-real-uv')
    checkout.command(real.name, 'exit 127')
    python = checkout.makes_environments(f'cp "{kept}" "$last/bin/uv"; cp "{checkout.good}" "$last/bin/python"')
    done = checkout.setup(PYTHON=python)
    assert done.returncode == 0, done.stderr
    assert 'fetching uv' in done.stdout
    assert [path.name for path in checkout.folder.glob('.uv*')] == ['.uv']
    assert len(checkout.asked) == 3


def test_an_unfinished_fetch_of_uv_leaves_nothing(checkout):
    checkout.command('uv', 'exit 127')
    pip = checkout.command('pip-without-network', 'exit 1')
    done = checkout.setup(PYTHON=checkout.makes_environments(f'cp "{pip}" "$last/bin/python"'))
    assert done.returncode == 1
    assert done.stderr == 'set-up: pip could not fetch uv, and says why above: run the same command again.\n'
    assert not list(checkout.folder.glob('.uv*'))


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab'])
def test_a_lock_serves_every_python_and_names_no_registry(stack):
    text = (ROOT / 'requirements' / f'{stack}.txt').read_text()
    assert '://' not in text
    assert '--' not in text.replace('#', '')
    pins = [line for line in text.splitlines() if not line.startswith('#')]
    assert {'torch==2.11.0', 'torchvision==0.26.0'} <= set(pins)
    assert any("python_full_version < '3.11'" in pin for pin in pins)
