"""Named weights, against a real HTTP server on this machine that serves, stalls, cuts off, corrupts and refuses."""

import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.registry import MODELS
from safetensors import SafetensorError

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import catalog, download, hub
from tests.helpers.networks import TINY, extra_of, fill
from tests.helpers.processes import environment


@pytest.fixture(scope='module')
def payload(tmp_path_factory):
    """The file of a tiny backbone, as a mirror holds it."""
    path = tmp_path_factory.mktemp('payload') / 'tiny.pth'
    torch.save(fill(HRNet(TINY)).state_dict(), path)
    return path.read_bytes()


@pytest.fixture
def server(payload):
    """A server whose paths name its faults; ``server.asked`` lists what was asked of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            fault = self.path.split('/')[1]
            if fault in ('404', '500'):
                self.send_error(int(fault))
                return
            body = payload[:-100] + b'\0' * 100 if fault == 'corrupt' else payload
            body = b'<html>sign in</html>' if fault == 'page' else body
            self.send_response(200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            if fault == 'stall':
                self.wfile.write(body[:1000])
                self.wfile.flush()
                self.server.released.wait(20)
            elif fault == 'slow':
                time.sleep(0.5)
                self.wfile.write(body)
            elif fault == 'cut':
                self.wfile.write(body[:1000])
            else:
                self.wfile.write(body)

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            """A client that hangs up is what half of these tests are about."""

    server = Server(('127.0.0.1', 0), Handler)
    server.asked, server.released = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def named(server, payload, monkeypatch, tmp_path):
    """Make ``hrnet://tiny`` come from the given faults in turn; cache and folder are the test's own."""
    monkeypatch.setenv(hub.CACHE_VARIABLE, str(tmp_path / 'cache'))
    monkeypatch.delenv(hub.FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(download.download, '__kwdefaults__', {'sha256': '', 'timeout': 1.0})
    digits = hashlib.sha256(payload).hexdigest()[:8]

    def name(*faults, part='backbone'):
        urls = (f'http://127.0.0.1:{server.server_port}/{fault}/tiny.pth' for fault in faults)
        sources = tuple(catalog.Source(url, '' if '/page/' in url else digits) for url in urls)
        weight = catalog.Weight(part, sources, 'none', 'https://example.org/tiny')
        monkeypatch.setattr(hub, 'CATALOG', {'tiny': weight})
        return sources

    return name


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
    'cut': r'stopped at \d+ of \d+ bytes',
    'corrupt': 'the file is corrupt: its SHA-256 begins',
    'page': 'is no checkpoint',
}


@pytest.mark.parametrize('fault', FAULTS)
def test_a_bad_mirror_costs_seconds_and_the_next_is_tried(named, server, fault, tmp_path):
    named(fault, 'good')
    started = time.monotonic()
    HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert time.monotonic() - started < 6
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
        monkeypatch.setattr(hub, 'FileLock' if case == 'no locks' else 'save', fail)
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


def test_config_says_the_name(named):
    named('good')
    cfg = dict(type='hrnet_plugins.HRNet', arch=extra_of(TINY))
    model = MODELS.build({**cfg, 'init_cfg': dict(type='Pretrained', checkpoint='hrnet://tiny')})
    model.init_weights()
    expected = fill(HRNet(TINY)).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.'])
def test_config_says_a_part_of_a_named_model(named, prefix):
    named('good', part='model')
    init_cfg = dict(type='Pretrained', checkpoint='hrnet://tiny', prefix=prefix)
    model = MODELS.build(dict(type='hrnet_plugins.HRNet', arch=extra_of(TINY), init_cfg=init_cfg))
    model.init_weights()
    expected = fill(HRNet(TINY)).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    with pytest.raises(ValueError, match=r'hrnet://tiny, which is for another architecture'):
        HRNet('w18_small_v1', init_cfg=init_cfg).init_weights()
    with pytest.raises(ValueError, match=r'`prefix` \(neck\) of `init_cfg` begins no entry of hrnet://tiny'):
        HRNet(TINY, init_cfg={**init_cfg, 'prefix': 'neck'}).init_weights()


def test_a_name_of_another_width_is_refused(named):
    named('good')
    model = HRNet('w18_small_v1', init_cfg=dict(type='Pretrained', checkpoint='hrnet://tiny'))
    with pytest.raises(ValueError, match=r'hrnet://tiny, which is for another architecture(.|\n)*expected 16, found 4'):
        model.init_weights()
    named('good')
    single = HRNet(TINY, multiscale_output=False, init_cfg=dict(type='Pretrained', checkpoint='hrnet://tiny'))
    single.init_weights()


def test_catalog_rows_are_complete():
    for name, weight in catalog.CATALOG.items():
        assert weight.sources, name
        assert weight.score, name
        for source in weight.sources:
            assert source.url.startswith(('https://', 'hf://')), name
            assert not source.sha256 or int(source.sha256, 16) >= 0, name
            assert os.path.basename(source.file), name
        if weight.part == 'backbone':
            assert f'cls_{name}' in catalog.CATALOG


@pytest.mark.parametrize(
    ('fault', 'reason'), [('silent', 'nothing came for 1 seconds'), ('refused', '.*Connection refused')]
)
def test_a_dead_hub_costs_seconds_and_the_next_is_tried(named, fault, reason, monkeypatch, caplog, tmp_path):
    def minutes(*args, **options):
        pytest.fail('by itself the library tries a dead host for minutes')

    (good,) = named('good')
    weight = catalog.Weight('backbone', (catalog.Source('hf://timm/tiny'), good), 'none', 'nobody')
    monkeypatch.setattr(hub, 'CATALOG', {'tiny': weight})
    with socket.create_server(('127.0.0.1', 0)) as dead:
        endpoint = f'http://127.0.0.1:{dead.getsockname()[1]}'
        if fault == 'refused':
            dead.close()
        template = f'{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
        constants = dict(HUGGINGFACE_CO_URL_TEMPLATE=template, HF_HUB_OFFLINE=False, HF_HUB_CACHE=str(tmp_path / 'hub'))
        for name, value in constants.items():
            monkeypatch.setattr(f'huggingface_hub.constants.{name}', value)
        monkeypatch.setattr('huggingface_hub.hf_hub_download', minutes)
        started = time.monotonic()
        HRNet(TINY).load_state_dict(hub.load('tiny'))
    assert time.monotonic() - started < 6
    assert re.search(f'hf://timm/tiny: {reason}', caplog.text)


HUB = """
import http.server, io, os, sys, threading
import safetensors.torch
from tests.helpers.networks import TINY, fill
from hrnet_plugins.models import HRNet

body = safetensors.torch.save(fill(HRNet(TINY)).state_dict())

class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self, send=False):
        found = self.path == '/timm/tiny/resolve/main/model.safetensors'
        known = self.headers.get('Authorization') == 'Bearer hf_token'
        self.send_response((200 if known else 401) if found else 404)
        headers = {{'ETag': '"abc"', 'X-Repo-Commit': 'c0ffee', 'Content-Length': str(len(body))}}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if send and found and known:
            self.wfile.write(body)

    def do_GET(self):
        self.do_HEAD(send=True)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f'http://127.0.0.1:{{server.server_port}}', HF_TOKEN='hf_token', HF_HOME={home!r})
os.environ['HRNET_PLUGINS_CACHE'] = os.path.join({home!r}, 'ours')
theirs = os.path.join({home!r}, 'hub', 'models--timm--had')
for path, content in (('refs/main', b'c0ffee'), ('snapshots/c0ffee/model.safetensors', body)):
    path = os.path.join(theirs, path)
    os.makedirs(os.path.dirname(path))
    with open(path, 'wb') as file:
        file.write(content)
from hrnet_plugins.weights import catalog, hub
source = lambda name: catalog.Weight('backbone', (catalog.Source(f'hf://timm/{{name}}'),), 'none', 'nobody')
hub.CATALOG = dict(tiny=source('tiny'), had=source('had'), gone=source('gone'))
HRNet(TINY).load_state_dict(hub.load('had'))
HRNet(TINY).load_state_dict(hub.load('tiny'))
assert os.listdir(os.path.dirname(theirs)) == ['models--timm--had'], 'what is converted is not kept twice'
try:
    hub.load('gone')
except FileNotFoundError as error:
    assert 'hf://timm/gone: HTTP 404' in str(error), error
    print('all as expected')
"""


def test_the_hubs_own_library_fetches_from_the_hub(tmp_path):
    script = HUB.format(home=str(tmp_path))
    command = [sys.executable, '-W', 'ignore', '-c', script]
    done = subprocess.run(command, check=False, env=environment(), capture_output=True, text=True, timeout=120)
    assert 'all as expected' in done.stdout, done.stderr[-2000:]
