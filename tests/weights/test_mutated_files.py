"""What no trained model has is said in one error, and a small file cannot ask for minutes or for all memory."""

import os
import random
import time

import pytest
import torch

from hrnet_plugins.models import HRNet
from hrnet_plugins.weights import convert, load_state_dict, save
from tests.helpers import frameworks
from tests.helpers.mutated import MUTATIONS, greedy_files
from tests.helpers.networks import TINY, fill
from tests.helpers.published import stored


@pytest.fixture(scope='module')
def models():
    detector = fill(frameworks.two_stage('cascade-mask', TINY, num_classes=3)).state_dict()
    return dict(detector=detector, backbone=fill(HRNet(TINY)).state_dict(), official=stored('cls_w18'))


@pytest.mark.parametrize('name', MUTATIONS)
@pytest.mark.parametrize('model', ['detector', 'backbone', 'official'])
def test_mutations_are_refused(name, model, models, tmp_path):
    if name == 'wrong rows' and model == 'backbone':
        return  # it has no head
    for seed in range(2):
        state = dict(models[model])
        key = MUTATIONS[name](state, random.Random(seed))  # noqa: S311, choices
        torch.save(state, tmp_path / 'x.pth')
        with pytest.raises(ValueError) as error:
            convert(load_state_dict(tmp_path / 'x.pth'))
        assert type(error.value) is ValueError, key
        assert len(str(error.value)) < 20_000


@pytest.mark.parametrize('model', ['detector', 'backbone', 'official'])
def test_what_is_right_passes(model, models):
    convert(models[model])


def test_greedy_files_end_soon(tmp_path):
    for name, path in greedy_files(tmp_path).items():
        start = time.process_time()
        with pytest.raises(ValueError):
            convert(load_state_dict(path))
        assert time.process_time() - start < 20, name


def test_damage_that_the_archive_tells(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(fill(HRNet(TINY)).state_dict(), path)
    good = path.read_bytes()
    rng = random.Random(0)  # noqa: S311, places
    tensors = {key: value.clone() for key, value in load_state_dict(path).items()}
    for _ in range(30):
        flipped = bytearray(good)
        flipped[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            read = load_state_dict(path)
        except ValueError:
            continue
        assert all(torch.equal(read[key], value) for key, value in tensors.items()), 'a flip was believed'


@pytest.mark.parametrize('place', ['folder', 'too long', 'no folder', 'read-only'])
def test_places_that_cannot_be_written_are_one_line(place, tmp_path):
    from click.testing import CliRunner  # noqa: PLC0415

    from hrnet_plugins import cli  # noqa: PLC0415

    source = tmp_path / 'a.pth'
    save(fill(HRNet(TINY)).state_dict(), source)
    (tmp_path / 'folder.pth').mkdir()
    target = {
        'folder': tmp_path / 'folder.pth',
        'too long': tmp_path / f'{"x" * 300}.pth',
        'no folder': tmp_path / 'none' / 'x.pth',
        'read-only': '/proc/x.pth',
    }[place]
    done = CliRunner().invoke(cli.main, ['convert', str(source), str(target)])
    assert done.exit_code == 1
    assert done.output.startswith('Error: ')
    assert len(done.output.strip().splitlines()) == 1, done.output
    assert sorted(os.listdir(tmp_path)) == ['a.pth', 'folder.pth']
