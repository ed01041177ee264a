"""The cache believes a file only if it is what was written, and what would be written now."""

import hashlib
import json
import random

import pytest
import torch
from safetensors import safe_open

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import cache, catalog, conversion, convert, hub
from tests.helpers import frameworks
from tests.helpers.networks import TINY, filled
from tests.helpers.published import mmdet1_names, names_of, stored


def cached(tmp_path):
    return tmp_path / 'cache' / 'tiny.safetensors'


def test_it_says_what_it_is(named, tmp_path):
    (source,) = named('good')
    hub.load('tiny')
    with safe_open(cached(tmp_path), 'pt') as file:
        facts = file.metadata()
    assert facts['name'] == 'tiny'
    assert catalog.weight_of(json.loads(facts['row'])) == hub.CATALOG['tiny']
    assert json.loads(facts['source'])['url'] == source.url
    assert facts['conversion'] == str(conversion.VERSION)


@pytest.mark.parametrize('part', ['header', 'tensors'])
def test_no_flipped_bit_is_believed(named, server, tmp_path, caplog, part):
    named('good')
    expected = hub.load('tiny')
    written = cached(tmp_path).read_bytes()
    header = 8 + int.from_bytes(written[:8], 'little')
    places = range(8, header) if part == 'header' else range(header, len(written))
    weight = hub.CATALOG['tiny']
    for position in random.Random(0).sample(places, 60):  # noqa: S311
        flipped = bytearray(written)
        flipped[position] ^= 1 << position % 8
        cached(tmp_path).write_bytes(flipped)
        state = cache.read(cached(tmp_path), weight)
        assert state is None, f'a flipped bit in byte {position} was believed'
    assert 'fetching it again' in caplog.text
    again = hub.load('tiny')
    assert server.asked == ['/good/tiny.pth'] * 2
    assert all(torch.equal(again[key], value) for key, value in expected.items())
    assert cache.read(cached(tmp_path), weight) is not None, 'and what was fetched is kept'


def test_what_an_earlier_conversion_made_is_fetched_again(named, server, tmp_path, monkeypatch, caplog):
    named('good')
    with monkeypatch.context() as patch:
        patch.setattr(cache, 'VERSION', 1)
        hub.load('tiny')
    hub.load('tiny')
    assert f'was made by version 1 of the conversion, which is {conversion.VERSION} now' in caplog.text
    assert len(server.asked) == 2
    hub.load('tiny')
    assert len(server.asked) == 2


def test_a_file_without_a_checksum_is_fetched_again(named, server, tmp_path, caplog):
    named('good')
    cache.save(hub.load('tiny'), cached(tmp_path))
    hub.load('tiny')
    assert 'has no checksum; fetching it again' in caplog.text
    assert len(server.asked) == 2


def test_another_file_under_the_name_is_not_used(named, server, tmp_path, caplog):
    named('slow')
    hub.load('tiny')
    named('good', 'slow')
    hub.load('tiny')
    assert server.asked == ['/slow/tiny.pth'], 'a source more changes nothing'
    named('good')
    hub.load('tiny')
    assert 'was fetched from what is no source of this weight now' in caplog.text
    named('good', part='model')
    assert all(key.startswith('backbone.') for key in hub.load('tiny')), 'the model, not the backbone'


def test_files_of_addresses_are_checked_as_well(named, server, tmp_path, caplog):
    (source,) = named('good')
    for _ in range(2):
        HRNet(TINY).load_state_dict(hub.read(source.url))
    assert len(server.asked) == 1
    (file,) = (tmp_path / 'cache' / 'files').glob('*/tiny.pth')
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    HRNet(TINY).load_state_dict(hub.read(source.url))
    assert len(server.asked) == 2
    assert 'was damaged after it was written' in caplog.text


CONVERTED = {2: 'b9c733066cf1d5e7'}
"""What the states below convert to, by the version of the conversion."""


def test_the_version_is_raised_with_what_conversion_gives():
    """If this fails on purpose, raise ``conversion.VERSION`` and write the new digest: caches serve old files else."""
    ocr = convert(frameworks.ocr_segmentor(TINY, 5, channels=16, ocr_channels=8).state_dict(), target='official-seg')[0]
    states = [
        filled(names_of_state(ocr)),
        filled(mmdet1_names(names_of(frameworks.two_stage('htc', TINY, num_classes=3)))),
        filled(mmdet1_names(names_of(frameworks.fcos(TINY, channels=32)), (1,))),
        stored('cls_w18_small_v1'),
    ]
    total = hashlib.sha256()
    for state in states:
        converted, _ = convert(state)
        for key in sorted(converted):
            total.update(f'{key} {tuple(converted[key].shape)}'.encode())
            total.update(converted[key].contiguous().numpy().tobytes())
    assert total.hexdigest()[:16] == CONVERTED[conversion.VERSION]


def names_of_state(state):
    return {key: tuple(value.shape) for key, value in state.items()}
