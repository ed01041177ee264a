"""The backend by mmengine's functions, what is wrong with archives, and threads and processes."""

import io
import multiprocessing
import os
import pickle
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mmengine.fileio as fileio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_plugins.io import ZipBackend
from hrnet_plugins.io import archive as archives
from hrnet_plugins.io.archive import archive_at
from hrnet_plugins.io.collate import zip_collate

ARGS = dict(backend='zip')
METHODS = {'stored': zipfile.ZIP_STORED, 'deflated': zipfile.ZIP_DEFLATED}
MEMBERS = {
    'val/1.jpg': os.urandom(3000),
    'val/2.jpg': b'2' * 5000,
    'val/.hidden': b'h',
    'val/deep/er/3.txt': 'drei\r\nü'.encode(),
    'top.txt': b'top',
}


def write(path, members=MEMBERS, method='stored'):
    with zipfile.ZipFile(path, 'w', METHODS[method]) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return path


@pytest.fixture(params=METHODS)
def archive(request, tmp_path):
    return write(tmp_path / 'images.zip', method=request.param)


@pytest.mark.parametrize('name', MEMBERS)
def test_members_and_files_read_alike(archive, name, tmp_path):
    local = tmp_path / 'unpacked' / name
    local.parent.mkdir(parents=True)
    local.write_bytes(MEMBERS[name])
    for path in (f'{archive}/{name}', archive / name, f'{archive}//./{name}', local, str(local)):
        assert fileio.get(path, ARGS) == MEMBERS[name]
        assert fileio.exists(path, ARGS) and fileio.isfile(path, ARGS) and not fileio.isdir(path, ARGS)
        with fileio.get_local_path(path, ARGS) as copy:
            assert os.path.basename(copy) == os.path.basename(name)
            with open(copy, 'rb') as file:
                assert file.read() == MEMBERS[name]
    with fileio.get_local_path(local, ARGS) as same:
        assert same == str(local)
    if name.endswith('.txt'):
        texts = [fileio.get_text(path, backend_args=ARGS) for path in (archive / name, local)]
        assert texts[0] == texts[1] == MEMBERS[name].decode().replace('\r\n', '\n')


def test_folders(archive, tmp_path):
    unpacked = tmp_path / 'unpacked'
    with zipfile.ZipFile(archive) as file:
        file.extractall(unpacked)
    for root in ('', '/val', '/val/', '/val/deep'):
        for options in (
            {},
            dict(recursive=True),
            dict(list_dir=False, recursive=True),
            dict(list_dir=False, suffix='.jpg', recursive=True),
            dict(list_dir=False, suffix=('.txt', '.jpg')),
            dict(list_file=False, recursive=True),
        ):
            ours, theirs = (
                sorted(fileio.list_dir_or_file(f'{base}{root}', backend_args=ARGS, **options))
                for base in (archive, unpacked)
            )
            assert ours == theirs
    assert all(fileio.isdir(f'{archive}/{folder}', ARGS) for folder in ('', 'val', 'val/', 'val/deep/er'))
    assert not any(fileio.exists(f'{archive}/{path}', ARGS) for path in ('va', 'val/3.jpg', 'top.txt/x', '../x'))
    with pytest.raises(TypeError, match='`suffix`'):
        list(fileio.list_dir_or_file(archive, suffix='.jpg', backend_args=ARGS))
    with pytest.raises(FileNotFoundError, match=r'images\.zip has no folder va'):
        list(fileio.list_dir_or_file(f'{archive}/va', backend_args=ARGS))


@settings(max_examples=30, deadline=None)
@given(
    names=st.sets(
        st.lists(st.sampled_from(['a', 'b', 'c.zip', 'd.jpg']), min_size=1, max_size=4).map('/'.join), min_size=1
    ),
    folders=st.booleans(),
)
def test_any_tree(names, folders, tmp_path_factory):
    files = {name for name in names if not any(other.startswith(f'{name}/') for other in names)}
    members = dict.fromkeys(sorted(files), b'x')
    parents = {name.rsplit('/', i)[0] for name in files for i in range(1, name.count('/') + 1)}
    if folders:  # entries of their own, which some writers add
        members |= {f'{parent}/': b'' for parent in sorted(parents)}
    path = write(tmp_path_factory.mktemp('tree') / 'x.zip', members)
    assert set(fileio.list_dir_or_file(path, list_dir=False, recursive=True, backend_args=ARGS)) == files
    assert set(fileio.list_dir_or_file(path, list_file=False, recursive=True, backend_args=ARGS)) == parents
    assert all(fileio.get(f'{path}/{name}', ARGS) == b'x' for name in files)


def test_archive_itself_and_folders_named_like_one(archive, tmp_path):
    assert fileio.get(archive, ARGS) == archive.read_bytes()
    assert fileio.isfile(archive, ARGS) and not fileio.isdir(archive, ARGS)
    folder = tmp_path / 'folder.zip'
    folder.mkdir()
    write(folder / 'inner.zip')
    (folder / 'plain.txt').write_text('plain')
    assert fileio.get_text(folder / 'plain.txt', backend_args=ARGS) == 'plain'
    assert fileio.get(folder / 'inner.zip' / 'top.txt', ARGS) == b'top'


def test_copies_out(archive, tmp_path):
    copy = fileio.copyfile(f'{archive}/top.txt', str(tmp_path / 'copy.txt'), ARGS)
    assert Path(copy).read_bytes() == b'top'
    (tmp_path / 'folder').mkdir()
    into = fileio.copyfile_to_local(archive / 'val' / '2.jpg', tmp_path / 'folder', ARGS)
    assert into == tmp_path / 'folder' / '2.jpg' and into.read_bytes() == MEMBERS['val/2.jpg']
    fileio.copytree(f'{archive}/val', str(tmp_path / 'tree'), ARGS)
    assert (tmp_path / 'tree' / 'deep' / 'er' / '3.txt').read_bytes() == MEMBERS['val/deep/er/3.txt']
    assert not fileio.copy_if_symlink_fails(f'{archive}/top.txt', str(tmp_path / 'no_link.txt'), ARGS)
    assert not os.path.islink(tmp_path / 'no_link.txt')


def test_refuses_to_write(archive, tmp_path):
    backend, inside = ZipBackend(), f'{archive}/val/1.jpg'
    before = archive.read_bytes()
    (tmp_path / 'local.txt').write_text('local')
    for change in (
        lambda: backend.put(b'', inside),
        lambda: backend.put(obj=b'', filepath=inside),
        lambda: backend.put_text('', inside),
        lambda: backend.remove(inside),
        lambda: backend.rmtree(f'{archive}/val'),
        lambda: backend.copyfile(tmp_path / 'local.txt', inside),
        lambda: backend.copytree(tmp_path, inside),
        lambda: backend.copyfile_from_local(tmp_path / 'local.txt', inside),
        lambda: backend.copy_if_symlink_fails(tmp_path / 'local.txt', inside),
    ):
        with pytest.raises(io.UnsupportedOperation, match=r'images\.zip are only read'):
            change()
    assert archive.read_bytes() == before
    backend.put(b'x', tmp_path / 'new.bin')
    backend.put_text('x', tmp_path / 'new.txt')
    backend.remove(tmp_path / 'new.bin')
    assert not (tmp_path / 'new.bin').exists() and (tmp_path / 'new.txt').read_text() == 'x'


def test_missing_member(archive):
    with pytest.raises(FileNotFoundError, match=r'images\.zip has no member 1\.jpg; its first is val/1\.jpg.*prefix'):
        fileio.get(f'{archive}/1.jpg', ARGS)
    with pytest.raises(FileNotFoundError):
        fileio.get(archive.parent / 'nothing.zip' / '1.jpg', ARGS)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('damage', ['bytes', 'header'])
def test_damaged_member(tmp_path, method, damage):
    path = write(tmp_path / 'images.zip', method=method)
    data = bytearray(path.read_bytes())
    start = data.index(b'val/1.jpg') + 9
    if damage == 'bytes':
        data[start + 1000 : start + 1010] = bytes(10)
    else:
        data[:4] = b'PKxx'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r'^val/1\.jpg in .*images\.zip is damaged: '):
        fileio.get(f'{path}/val/1.jpg', ARGS)
    assert fileio.get(f'{path}/top.txt', ARGS) == b'top'


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (lambda data: data[: len(data) // 2], r'images\.zip is cut off .* bytes are here'),
        (lambda data: data[:-30], r'images\.zip is cut off'),
        (lambda data: b'<html>not found</html>', r"images\.zip is not a zip file, it begins with b'<htm'"),
        (lambda data: b'', r"images\.zip is not a zip file, it begins with b''"),
    ],
    ids=['half', 'end', 'a page', 'empty'],
)
def test_damaged_archive(archive, content, message):
    archive.write_bytes(content(archive.read_bytes()))
    with pytest.raises(ValueError, match=message):
        fileio.get(f'{archive}/val/1.jpg', ARGS)


def test_rewritten_archive_is_read_anew(tmp_path):
    path = write(tmp_path / 'images.zip', {'a': b'old'})
    assert fileio.get(f'{path}/a', ARGS) == b'old'
    write(path, {'a': b'newer'})
    assert fileio.get(f'{path}/a', ARGS) == b'newer'


def test_opened_once_and_pickled(archive):
    backend = pickle.loads(pickle.dumps(ZipBackend()))  # noqa: S301, our own
    assert backend.get(f'{archive}/top.txt') == b'top'
    assert archive_at(str(archive)) is archive_at(str(archive))


def read_all(path, rounds=30):
    """Whether every member reads right, many times over."""
    return all(fileio.get(f'{path}/{name}', ARGS) == value for _ in range(rounds) for name, value in MEMBERS.items())


def test_threads(archive):
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read_all, [archive] * 8))


def test_forked_processes_read_for_themselves(archive):
    """They start with the parent's archive open, and its locks held by another thread."""
    assert read_all(archive, 1)
    parents = archive_at(str(archive))
    release, held = threading.Event(), threading.Event()

    def hold():
        with parents._reading, archives._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        with multiprocessing.get_context('fork').Pool(4) as pool:
            assert all(pool.map_async(read_all, [archive] * 4).get(30))
    finally:
        release.set()
        thread.join()
    assert read_all(archive, 1)


def test_collate_function_brings_the_backend_to_a_spawned_worker(archive):
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert pool.apply(zip_collate, ([dict(a=1), dict(a=2)],)) == dict(a=[1, 2])
        assert pool.apply(fileio.get, (f'{archive}/top.txt', ARGS)) == b'top'
