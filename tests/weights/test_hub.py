"""Named weights: the user's folder, the cache, the sources in turn, and what is said when all fail."""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filelock import FileLock
from safetensors import SafetensorError

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import cache, catalog, hub, locks
from tests.helpers.networks import TINY


def leftovers(tmp_path):
    """What is in the cache folder; the lock stays, as another process may be waiting for it."""
    return {path.name for path in (tmp_path / 'cache').iterdir()} - {'tiny.lock'}


def test_fetched_converted_and_cached(named, server, tmp_path):
    named('good')
    state = hub.load('hrnet://tiny')
    HRNet(TINY).load_state_dict(state)
    assert leftovers(tmp_path) == {'tiny.safetensors'}
    again = hub.load('tiny')
    assert server.asked == ['/good/tiny.pth'], 'the second time it comes from the cache'
    assert all(torch.equal(again[key], value) for key, value in state.items())


FAULTS = {
    '404': 'HTTP 404',
    '500': 'HTTP 500',
    'stall': 'nothing came for 1 seconds',
    'trickle': r'only \d+ bytes came in \d seconds',
    'header': 'no answer within 3 seconds',
    'cut': r'stopped at \d+ of \d+ bytes',
    'corrupt': 'the file is corrupt: its SHA-256 begins',
    'page': 'is no checkpoint',
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_bad_mirror_costs_seconds_and_the_next_is_tried(named, server, fault, tmp_path):
    named(fault, 'good')
    started = time.monotonic()
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert time.monotonic() - started < 8
    assert server.asked == [f'/{fault}/tiny.pth', '/good/tiny.pth']
    assert leftovers(tmp_path) == {'tiny.safetensors'}


def test_when_all_fail_each_reason_and_the_way_out_are_told(named, tmp_path):
    named(*FAULTS)
    with pytest.raises(FileNotFoundError) as caught:
        hub.load('tiny')
    message = str(caught.value)
    for fault, reason in FAULTS.items():
        (line,) = (line for line in message.splitlines() if f'/{fault}/' in line and line.startswith('  http'))
        assert re.search(reason, line)
    assert f'tiny.pth, and set {hub.FOLDER_VARIABLE}' in message
    assert 'https://example.org/tiny' in message
    assert leftovers(tmp_path) == set()


def test_unreachable_host(named, monkeypatch):
    sources = (catalog.Source('http://127.0.0.1:9/tiny.pth'),)
    weight = catalog.Weight('backbone', sources, 'none', 'nobody')
    monkeypatch.setattr(hub, 'CATALOG', {'tiny': weight})
    with pytest.raises(FileNotFoundError, match='Connection refused'):
        hub.load('tiny')


@pytest.mark.parametrize('file', ['tiny.pth', 'theirs.pth'])
def test_the_users_folder_comes_first(named, server, payload, monkeypatch, tmp_path, file):
    (source,) = named('good')
    weight = catalog.Weight('backbone', (catalog.Source(source.url.replace('tiny', 'theirs')),), 'none', 'nobody')
    monkeypatch.setattr(hub, 'CATALOG', {'tiny': weight})
    folder = tmp_path / 'mine'
    folder.mkdir()
    (folder / file).write_bytes(payload)
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(folder))
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert server.asked == []
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(tmp_path / 'absent'))
    with pytest.raises(ValueError, match=f'{hub.FOLDER_VARIABLE} .* is not a folder'):
        hub.load('tiny')


def test_a_file_under_a_published_name_must_have_the_published_hash(named, server, payload, monkeypatch, tmp_path):
    named('good')
    folder = tmp_path / 'mine'
    folder.mkdir()
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(folder))
    weight = hub.CATALOG['tiny']
    theirs = catalog.Source(weight.sources[0].url.replace('tiny', 'theirs'), weight.sources[0].sha256)
    monkeypatch.setattr(hub, 'CATALOG', {'tiny': catalog.Weight('backbone', (theirs,), 'none', 'nobody')})
    (folder / 'theirs.pth').write_bytes(payload)
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    (folder / 'theirs.pth').write_bytes(payload + b'0')
    with pytest.raises(ValueError, match=r'is not the file of .*its SHA-256 begins .*name it tiny\.pth'):
        hub.load('tiny')
    (folder / 'theirs.pth').rename(folder / 'tiny.pth')
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert server.asked == []


def test_a_damaged_cache_is_fetched_again(named, server, tmp_path):
    named('good')
    hub.load('tiny')
    cached = tmp_path / 'cache' / 'tiny.safetensors'
    cached.write_bytes(cached.read_bytes()[:500])
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert len(server.asked) == 2


def test_users_own_files_in_the_cache_stay(named, tmp_path):
    named('404', 'corrupt', 'good')
    own = tmp_path / 'cache' / 'tiny.pth'  # the name that each source gives its file
    own.parent.mkdir()
    own.write_bytes(b'mine')
    hub.load('tiny')
    assert own.read_bytes() == b'mine'
    assert leftovers(tmp_path) == {'tiny.pth', 'tiny.safetensors'}


def test_several_at_once_fetch_once(named, server):
    named('slow')
    with ThreadPoolExecutor(3) as pool:
        states = list(pool.map(hub.load, ['tiny'] * 3))
    assert server.asked == ['/slow/tiny.pth']
    for state in states:
        HRNet(TINY).load_state_dict(state)


@pytest.mark.parametrize('goes_on', [True, False])
def test_waiting_for_another_process_is_said_and_ends(named, server, monkeypatch, caplog, tmp_path, goes_on):
    monkeypatch.setattr(locks, 'FIRST_WORD', 0.1)
    monkeypatch.setattr(locks, 'PATIENCE', 0.8)
    named('good')
    place = tmp_path / 'cache' / 'tiny.other'
    place.mkdir(parents=True)
    ended = threading.Event()

    def other():
        """Holds the lock for three seconds, and writes meanwhile or does not."""
        with FileLock(tmp_path / 'cache' / 'tiny.lock'):
            started.set()
            for i in range(30):
                if goes_on:
                    (place / 'part').write_bytes(bytes(i))
                ended.wait(0.1)

    started = threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    started.wait()
    try:
        HRNet(TINY).load_state_dict(hub.load('tiny'))
    finally:
        held = thread.is_alive()
        ended.set()
        thread.join()
    lock = tmp_path / 'cache' / 'tiny.lock'
    assert f'hrnet://tiny is fetched by another process, which holds {lock}; waiting for it' in caplog.text
    assert held is not goes_on
    assert ('has not gone on for 0.8 seconds: end that process' in caplog.text) is not goes_on
    assert (tmp_path / 'cache' / 'tiny.safetensors').exists() is goes_on


def test_an_address_that_another_process_fetches_and_does_not_go_on(monkeypatch, tmp_path):
    monkeypatch.setenv(hub.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(locks, 'PATIENCE', 0.5)
    url = 'http://127.0.0.1:9/tiny.pth'
    with pytest.raises(FileNotFoundError, match='Connection refused'):
        hub.file_of(url)
    (lock,) = (tmp_path / 'files').glob('*.lock')
    with FileLock(lock), pytest.raises(FileNotFoundError, match=r'has not gone on for 0\.5 seconds: end'):
        hub.file_of(url)


@pytest.mark.parametrize('case', ['folder', 'lock', 'no locks', 'disk'])
def test_a_cache_that_takes_nothing_serves_the_process_only(named, server, case, monkeypatch, caplog, tmp_path):
    def fail(*args):
        raise NotImplementedError('no flock') if case == 'no locks' else SafetensorError('no space left')

    named('good')
    if case == 'folder':
        (tmp_path / 'cache').touch()  # below a file not even root makes a folder
    elif case == 'lock':
        (tmp_path / 'cache' / 'tiny.lock').mkdir(parents=True)
    else:
        monkeypatch.setattr(*((locks, 'FileLock') if case == 'no locks' else (cache, 'save')), fail)
    for _ in range(2):
        HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert server.asked == ['/good/tiny.pth'] * 2
    assert caplog.text.count('tiny cannot be kept in the cache: ') == 2
    assert case == 'folder' or leftovers(tmp_path) == set()


@pytest.mark.parametrize('cache', [True, False])
def test_a_user_without_a_home(named, cache, monkeypatch, caplog, tmp_path):
    def unknown(uid):
        raise KeyError(uid)

    named('good')
    for variable in ('HOME', 'XDG_CACHE_HOME', *(() if cache else (hub.CACHE_VARIABLE,))):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr('pwd.getpwuid', unknown)
    monkeypatch.chdir(tmp_path)
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    told = f'tiny cannot be kept in the cache: the user has no home: set {hub.CACHE_VARIABLE} to a folder'
    assert (told in caplog.text) != cache
    assert os.listdir(tmp_path) == (['cache'] if cache else [])


def test_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match=r'`name` \(w49\) is no known weight; did you mean .*w4'):
        hub.load('hrnet://w49')
