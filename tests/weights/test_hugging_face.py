"""Weights from the Hugging Face hub, by its own library and against a server on this machine."""

import re
import socket
import subprocess
import sys
import time

import pytest

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import catalog, hub
from tests.helpers.networks import TINY
from tests.helpers.processes import environment


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


# In a process of its own, since the hub's library reads its settings when it is imported.
HUB = """
import os
import safetensors.torch
from tests.helpers import servers
from tests.helpers.networks import TINY, fill
from hrnet_plugins.models import HRNet

home = {home!r}
body = safetensors.torch.save(fill(HRNet(TINY)).state_dict())
theirs = os.path.join(home, 'hub', 'models--timm--had')
for path, content in (('refs/main', b'c0ffee'), ('snapshots/c0ffee/model.safetensors', body)):
    path = os.path.join(theirs, path)
    os.makedirs(os.path.dirname(path))
    with open(path, 'wb') as file:
        file.write(content)
with servers.hub(body) as server:
    os.environ.update(HF_ENDPOINT=f'http://127.0.0.1:{{server.server_port}}', HF_TOKEN='hf_token', HF_HOME=home)
    os.environ['HRNET_PLUGINS_CACHE'] = os.path.join(home, 'ours')
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
