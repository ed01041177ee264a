"""Asking addresses for headers only, on servers of this machine."""

import http.server
import json

import pytest
from click.testing import CliRunner

from hrnet_plugins import cli
from hrnet_plugins.cli import weights as weight_commands
from hrnet_plugins.weights import catalog, probe
from tests.helpers import servers

SIZE = 12345


class _Host(http.server.BaseHTTPRequestHandler):
    """A host whose paths name its habits; it notes every question, and gives no file's content but for a first byte."""

    def do_HEAD(self):
        self.server.asked.append(f'HEAD {self.path}')
        habit = self.path.split('/')[1]
        status = {'gone': 404, 'no-head': 405, 'signed': 403}.get(habit, 200)
        if habit == 'moved':
            self.send_response(302)
            self.send_header('Location', '/good/file.pth')
        else:
            self.send_response(status)
            if status == 200 and habit != 'silent':
                self.send_header('Content-Length', str(SIZE))
        self.end_headers()

    def do_GET(self):
        self.server.asked.append(f'GET {self.path} {self.headers.get("Range")}')
        assert self.headers.get('Range') == 'bytes=0-0', 'the file itself is not asked for'
        if self.path.split('/')[1] == 'signed':
            self.send_error(403)
            return
        self.send_response(206)
        self.send_header('Content-Range', f'bytes 0-0/{SIZE}')
        self.send_header('Content-Length', '1')
        self.end_headers()
        self.wfile.write(b'0')

    def log_message(self, *args):
        pass


@pytest.fixture
def host():
    with servers.running(_Host) as server:
        yield server


def address(host, habit):
    return f'http://127.0.0.1:{host.server_port}/{habit}/file.pth'


@pytest.mark.parametrize(
    ('habit', 'size', 'reason'),
    [
        ('good', SIZE, ''),
        ('moved', SIZE, ''),
        ('no-head', SIZE, ''),
        ('silent', 0, ''),
        ('gone', 0, 'HTTP 404'),
        ('signed', 0, 'HTTP 403'),
    ],
)
def test_what_an_address_answers(host, habit, size, reason):
    url = address(host, habit)
    (answer,) = probe.probe([catalog.Source(url)] * 2).values()
    assert (answer.url, answer.alive, answer.size) == (url, not reason, size)
    assert answer.reason.startswith(reason)
    assert host.asked[0] == f'HEAD /{habit}/file.pth'
    assert len(host.asked) == {'moved': 2, 'no-head': 2, 'signed': 2}.get(habit, 1), 'named twice, asked once'


def test_another_size_and_a_dead_host(host):
    known = catalog.Source(address(host, 'good'), size=SIZE - 1)
    dead = catalog.Source('http://127.0.0.1:9/file.pth')
    answers = probe.probe([known, dead])
    assert answers[known.url].reason == f'another file: {SIZE} bytes, not {SIZE - 1}'
    assert 'Connection refused' in answers[dead.url].reason
    assert not any(answer.alive for answer in answers.values())


def test_the_command_prints_each_address(host, monkeypatch):
    rows = {
        'cls_both': catalog.Weight(
            'model', (catalog.Source(address(host, 'gone')), catalog.Source(address(host, 'good'))), 'none', 'nobody'
        ),
        'cls_none': catalog.Weight('model', (catalog.Source(address(host, 'gone')),), 'none', 'nobody'),
    }
    monkeypatch.setattr(weight_commands, 'CATALOG', rows)
    monkeypatch.setattr(catalog, 'CATALOG', rows)
    some = CliRunner().invoke(cli.main, ['weights', 'cls_both', '--probe'])
    assert some.exit_code == 0, some.output
    assert f'{SIZE:,}' in some.output
    assert 'HTTP 404' in some.output
    assert '1 of 2 addresses are alive' in some.output
    every = CliRunner().invoke(cli.main, ['weights', '--probe'])
    assert every.exit_code == 1
    assert '1 of 2 addresses are alive' in every.output
    assert 'no address of these weights is alive: cls_none' in every.output


def test_every_address_can_be_asked():
    """The catalog's own addresses are of the kinds that the tests above ask."""
    text = json.loads(catalog.ROWS.read_text())
    urls = {source['url'] for row in text for source in row['sources']}
    assert all(url.startswith(('https://', 'hf://')) for url in urls)
    assert len(urls) > 200
