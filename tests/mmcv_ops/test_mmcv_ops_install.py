"""Installing the operators: into stand-ins for installed mmcvs, each in a folder of its own."""

import base64
import errno
import hashlib
import importlib.machinery
import os
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

from hrnet_plugins import cli
from hrnet_plugins.mmcv_ops import install
from tests.helpers.processes import environment

SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
RECORD = 'docs/conf.py,,\nmmcv/__init__.py,,\nmmcv/ops/__init__.py,,\n{name}-{version}.dist-info/RECORD,,\n'


def add(site, name='onedl-mmcv', version='2.3.6', *, record=RECORD, ops=True):
    """Put a stand-in for a distribution of mmcv into a folder."""
    info = site / f'{name.replace("-", "_")}-{version}.dist-info'
    for folder in (info, site / 'mmcv' / 'ops', site / 'docs'):
        folder.mkdir(parents=True, exist_ok=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    if record is not None:
        (info / 'RECORD').write_text(record.format(name=name.replace('-', '_'), version=version))
    (site / 'docs' / 'conf.py').touch()
    (site / 'mmcv' / '__init__.py').write_text('value = 1\n')
    if ops:
        (site / 'mmcv' / 'ops' / '__init__.py').write_text('from mmcv import _ext\nnms = _ext.nms\n')
    return info


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site-packages, the only one in which an mmcv is looked for."""
    real = metadata.distributions
    monkeypatch.setattr(metadata, 'distributions', lambda: real(path=[str(tmp_path)]))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split('.')[0] == 'mmcv']:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def run(command):
    done = CliRunner().invoke(cli.main, ['mmcv-ops', command])
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


def tree(site):
    """Every file's content, times and caches aside."""
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def refused(command, *parts):
    """The command ends in one line with all of these parts, and changes nothing."""
    done = run(command)
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1
    assert done.output.startswith('Error: ')
    for part in parts:
        assert part in done.output
    return done


@pytest.mark.parametrize(('name', 'version'), [('onedl-mmcv', '2.3.6'), ('mmcv-lite', '2.1.0'), ('mmcv', '2.1.0')])
def test_installs_once_and_removes_without_a_trace(site, name, version):
    add(site, name, version)
    before = tree(site)
    assert 'operators: none' in run('status').output
    done = run('install')
    assert done.output == f"{name} {version} now has operators on torchvision's: {site / 'mmcv' / '_ext.py'}\n"
    installed = tree(site)
    assert installed.keys() - before.keys() == {'mmcv/_ext.py'}
    assert 'has the operators already' in run('install').output
    assert tree(site) == installed
    assert "operators: hrnet-plugins', up to date" in run('status').output
    assert f'uninstalling: {name} deletes the module too' in run('status').output
    assert run('remove').output == f'{name} {version} is as it was before\n'
    assert tree(site) == before
    assert 'nothing to remove' in run('remove').output
    assert tree(site) == before


@pytest.mark.parametrize('end', ['\n', '\r\n', ''])
def test_record_is_as_pip_writes_it(site, end):
    info = add(site, record=RECORD.strip().replace('\n', end or '\n') + end)
    first = (info / 'RECORD').read_bytes().splitlines()
    run('install')
    *others, last = (info / 'RECORD').read_bytes().splitlines()
    assert others == first, 'the first line stays first, by which onedl-mim finds the folder of a package'
    path, digest, size = last.decode().split(',')
    content = (site / path).read_bytes()
    assert digest == 'sha256=' + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()
    assert int(size) == len(content)
    found = {str(each): each for each in metadata.Distribution.at(info).files}
    assert found['mmcv/_ext.py'].locate() == site / 'mmcv' / '_ext.py'


def test_other_processes_use_them(site):
    add(site)
    run('install')
    code = 'import mmcv.ops; print(mmcv.ops.nms.__module__, mmcv._ext.carafe_forward.__name__, "nms" in dir(mmcv._ext))'
    env = environment(PYTHONPATH=os.pathsep.join([str(site), environment()['PYTHONPATH']]))
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], check=False, env=env, capture_output=True, text=True
    )
    assert done.stdout.split() == ['hrnet_plugins.mmcv_ops.nms', 'carafe_forward', 'True'], done.stderr


def test_module_without_hrnet_plugins_says_what_to_do(site):
    add(site)
    run('install')
    code = (
        'import sys; sys.meta_path.insert(0, type("Hide", (), dict(find_spec=staticmethod(lambda name, *_: '
        '(_ for _ in ()).throw(ModuleNotFoundError(name, name=name)) if name == "hrnet_plugins" else None)))); '
        'import mmcv.ops'
    )
    env = {**os.environ, 'PYTHONPATH': str(site)}
    done = subprocess.run([sys.executable, '-c', code], check=False, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert 'hrnet-plugins, which is not installed here any more: install it again, or delete' in last
    assert str(site / 'mmcv' / '_ext.py') in last


def test_module_of_another_release_is_renewed(site):
    info = add(site)
    run('install')
    installed = tree(site)
    old = install.MARK + b'\nold = 1\n'
    (site / 'mmcv' / '_ext.py').write_bytes(old)
    (info / 'RECORD').write_bytes((info / 'RECORD').read_bytes().replace(b'sha256=', b'sha256=0'))
    assert 'of another release, `hrnet-plugins mmcv-ops install` renews it' in run('status').output
    assert run('install').exit_code == 0
    assert tree(site) == installed
    (site / 'mmcv' / '_ext.py').write_bytes(old)
    assert run('remove').exit_code == 0
    assert not (site / 'mmcv' / '_ext.py').exists()


def test_compiled_ones_are_never_replaced(site):
    add(site)
    extension = site / 'mmcv' / f'_ext{SUFFIX}'
    extension.write_bytes(b'compiled')
    (site / 'mmcv' / '_ext.cpython-39-x86_64-linux-gnu.so').write_bytes(b'of another Python')
    before = tree(site)
    done = run('install')
    assert done.exit_code == 0, 'nothing is to be done'
    assert done.output == f'onedl-mmcv 2.3.6 has compiled operators already, which stay as they are: {extension}\n'
    assert f'operators: compiled: {extension}' in run('status').output
    assert 'nothing to remove' in run('remove').output
    assert tree(site) == before


@pytest.mark.parametrize('name', ['_ext.cpython-39-x86_64-linux-gnu.so', '_ext.cp39-win_amd64.pyd'])
def test_compiled_ones_of_another_python_are_left_and_named(site, name):
    add(site)
    (site / 'mmcv' / name).write_bytes(b'compiled')
    before = tree(site)
    refused('install', f'{name} is compiled for another Python or platform', 'install onedl-mmcv again')
    assert 'operators: compiled for another Python or platform' in run('status').output
    assert 'nothing to remove' in run('remove').output
    assert tree(site) == before


def test_compiled_ones_of_another_python_do_not_hide_ours(site):
    """As Python itself does not look at them."""
    add(site)
    before = tree(site)
    run('install')
    (site / 'mmcv' / '_ext.cpython-39-x86_64-linux-gnu.so').write_bytes(b'compiled')
    assert "operators: hrnet-plugins', up to date" in run('status').output
    assert 'has the operators already' in run('install').output
    assert 'is as it was before' in run('remove').output
    (site / 'mmcv' / '_ext.cpython-39-x86_64-linux-gnu.so').unlink()
    assert tree(site) == before


def test_compiled_over_ours_are_left(site):
    """A compiling installation of the same mmcv leaves our file, which Python then does not look at."""
    add(site)
    run('install')
    (site / 'mmcv' / f'_ext{SUFFIX}').write_bytes(b'compiled')
    before = tree(site)
    assert 'has compiled operators already' in run('install').output
    assert 'nothing to remove' in run('remove').output
    assert tree(site) == before


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_a_stranger_s_module_is_left(site, kind):
    add(site)
    path = site / 'mmcv' / ('_ext.py' if kind == 'file' else '_ext')
    if kind == 'file':
        path.write_text('mine = 1\n')
    else:
        path.mkdir()
        (path / '__init__.py').write_text('mine = 1\n')
    before = tree(site)
    refused('install', f'{path} is not from hrnet-plugins: move it away to install ours')
    assert f'operators: of unknown origin: {path}' in run('status').output
    assert 'nothing to remove' in run('remove').output
    assert tree(site) == before


@pytest.mark.parametrize('command', ['install', 'remove', 'status'])
def test_no_mmcv(site, command):
    refused(command, 'mmcv is not installed: install one of the two stacks')


@pytest.mark.parametrize('command', ['install', 'remove', 'status'])
def test_two_mmcvs(site, command):
    add(site, 'mmcv', '2.1.0')
    add(site, 'mmcv-lite', '2.1.0')
    refused(command, 'mmcv 2.1.0 and mmcv-lite 2.1.0 are installed and share one folder: uninstall all of them')


@pytest.mark.parametrize(('version', 'ops'), [('1.7.1', True), ('2.0.0', False)])
def test_an_mmcv_that_this_is_not_for(site, version, ops):
    add(site, 'mmcv-lite', version, ops=ops)
    refused('install', f'mmcv-lite {version}', 'has not the mmcv.ops of mmcv 2: install mmcv 2')


def test_metadata_without_a_package(site, monkeypatch):
    add(site)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    refused('install', 'onedl-mmcv is installed, but there is no package mmcv to import: install it again')


def test_an_mmcv_that_hides_the_installed_one(site, tmp_path_factory, monkeypatch):
    add(site)
    other = tmp_path_factory.mktemp('other')
    add(other)
    monkeypatch.syspath_prepend(str(other))
    refused('install', f'mmcv is imported from {other / "mmcv"}, where onedl-mmcv 2.3.6 is not: start elsewhere')


def test_no_torchvision(site, monkeypatch):
    add(site)
    real = install.importlib.util.find_spec
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None if name == 'torchvision' else real(name))
    refused('install', 'torchvision, whose operators these are, is not installed')


@pytest.mark.parametrize('record', [None, 'onedl_mmcv-2.3.6.dist-info/RECORD,,\n'])
def test_an_mmcv_without_a_list_of_its_files(site, record):
    """An editable installation lists its metadata alone, conda's and Debian's packages may list nothing."""
    add(site, record=record)
    before = tree(site)
    assert run('install').exit_code == 0
    assert 'has the operators already' in run('install').output
    assert tree(site).keys() - before.keys() == {'mmcv/_ext.py'}
    assert 'uninstalling: onedl-mmcv leaves the module' in run('status').output
    run('remove')
    assert tree(site) == before


@pytest.mark.parametrize('command', ['install', 'remove'])
@pytest.mark.parametrize('failing', ['mkstemp', 'write', 'replace'])
def test_files_that_cannot_be_written(site, command, failing, monkeypatch):
    add(site)
    if command == 'remove':
        run('install')
    before = tree(site)

    def fail(*args, **options):
        raise OSError(errno.ENOSPC if failing == 'write' else errno.EACCES, os.strerror(errno.EACCES))

    where = {
        'mkstemp': (install.tempfile, 'mkstemp'),
        'write': (install.os, 'fsync'),
        'replace': (install.os, 'replace'),
    }
    monkeypatch.setattr(*where[failing], fail)
    refused(command, f'{site / "mmcv"} cannot be changed (', 'in a virtual environment')
    assert tree(site) == before, 'nothing half-made'


def test_installing_that_stopped_in_the_middle_is_finished(site, monkeypatch):
    info = add(site)
    before = tree(site)
    real = install.os.replace

    def stop(source, target):
        if str(target).endswith('RECORD'):
            raise OSError(errno.EIO, 'broken')
        real(source, target)

    monkeypatch.setattr(install.os, 'replace', stop)
    refused('install', 'broken')
    assert (site / 'mmcv' / '_ext.py').exists()
    assert 'leaves the module' in run('status').output
    monkeypatch.setattr(install.os, 'replace', real)
    assert 'now has operators' in run('install').output
    (site / 'mmcv' / '_ext.py').unlink()  # removing that stopped after this
    assert b'mmcv/_ext.py' in (info / 'RECORD').read_bytes()
    assert run('remove').exit_code == 0
    assert tree(site) == before


def test_others_can_read_what_was_written_and_hard_links_stay(site):
    info = add(site)
    for path in (site / 'mmcv' / '__init__.py', info / 'RECORD'):
        path.chmod(0o644)
    cache = site / 'cache'
    os.link(info / 'RECORD', cache)
    content = cache.read_bytes()
    run('install')
    assert (site / 'mmcv' / '_ext.py').stat().st_mode & 0o777 == 0o644
    assert (info / 'RECORD').stat().st_mode & 0o777 == 0o644
    assert cache.read_bytes() == content, "uv's cache of a wheel shares its files with environments"


def test_caches_of_the_module_go_with_it(site):
    add(site)
    run('install')
    cache = site / 'mmcv' / '__pycache__'
    cache.mkdir()
    (cache / '_ext.cpython-312.pyc').touch()
    (cache / '_extra.cpython-312.pyc').touch()
    run('remove')
    assert [path.name for path in cache.iterdir()] == ['_extra.cpython-312.pyc']


def test_way_to_the_compiled_ones_fits_what_is_installed(site):
    assert 'mmcv-ops remove && pip install' in install.how_to_compile()
    add(site, 'mmcv-lite', '2.1.0')
    assert 'mmcv-ops remove && pip uninstall mmcv-lite && pip install' in install.how_to_compile()
    assert install.how_to_compile().endswith(' mmcv==2.1.0')
