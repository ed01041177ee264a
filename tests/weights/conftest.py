"""A weight named ``hrnet://tiny`` that comes from a server on this machine."""

import hashlib
import sys

import pytest
import torch

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import catalog, download, hub
from tests.helpers import servers
from tests.helpers.networks import TINY, fill
from tests.helpers.upstream import given_back


@pytest.fixture(scope='session')
def payload(tmp_path_factory):
    """The file of a tiny backbone, as a mirror holds it."""
    path = tmp_path_factory.mktemp('payload') / 'tiny.pth'
    torch.save(fill(HRNet(TINY)).state_dict(), path)
    return path.read_bytes()


@pytest.fixture
def server(payload):
    """A mirror whose paths name its faults."""
    with servers.mirror(payload) as server:
        yield server


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


@pytest.fixture
def upstreams_names_given_back(upstreams_names):
    """Take our classes away from behind upstream's names, where the drop-in puts them for all of this process."""
    with given_back():
        sys.modules.pop('hrnet_plugins.dropin', None)
        yield
    sys.modules.pop('hrnet_plugins.dropin', None)  # the next import registers again
