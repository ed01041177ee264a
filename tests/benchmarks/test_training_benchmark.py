"""The comparison of what training takes: a tiny one from end to end, and its page."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks.training.__main__ import main, write_page
from benchmarks.training.cases import CASES, Case
from benchmarks.training.measure import peak_apart, saved_megabytes
from benchmarks.training.networks import ours, upstream
from benchmarks.training.page import BARS, SWITCHES, page
from benchmarks.training.record import record
from benchmarks.training.systems import SYSTEMS, UPSTREAM, System
from tests.helpers.networks import TINY
from tests.helpers.upstream import register_upstreams

SMALL = [
    Case('pyramid', TINY, (64, 96), fixed=True),
    Case('pyramid', TINY, (64, 96)),
    Case('classifier', TINY, (64, 64)),
]


def broken(case, device):
    raise RuntimeError('no such thing\nand more')


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    register_upstreams()
    path = tmp_path_factory.mktemp('recorded') / 'results-cpu.json'
    systems = [s for s in SYSTEMS if not (s.compiles or 'timm' in s.name)]
    monkey = pytest.MonkeyPatch()
    monkey.setattr('benchmarks.training.measure.TURNS', (1, 1))
    try:
        record(SMALL, [*systems, System('broken', broken)], path, device='cpu', measure=['saved', 'time'])
    finally:
        monkey.undo()
        torch.set_flush_denormal(False)
    return json.loads(path.read_text())


@pytest.mark.parametrize('case', SMALL, ids=lambda case: case.name)
def test_systems_agree_and_are_measured(recorded, case):
    systems = dict(recorded['cases'][case.name]['systems'])
    assert systems.pop('broken fp32') == {'failed': 'RuntimeError: no such thing'}
    base = systems[UPSTREAM.key]
    for key, found in systems.items():
        assert found['ms'] > 0 and found['cpu_ms'] > 0, key
        assert found['loss'] == pytest.approx(base['loss'], rel=5e-2 if key.endswith('bf16') else 1e-4), key
        assert found['saved_mb'] <= base['saved_mb'] or key.endswith('bf16'), key  # casts of weights count, too
    saved = {key: found['saved_mb'] for key, found in systems.items()}
    assert saved["ours, with_cp='module', channels_last fp32"] < 0.5 * base['saved_mb']
    best = 'ours fp32' if case.fixed else "ours, with_cp='norm' fp32"
    assert saved[best] < 0.8 * base['saved_mb']


@pytest.mark.usefixtures('upstreams_names')
@pytest.mark.parametrize('kind', ['hrnetv2', 'ocr'])
def test_segmentation_has_the_same_weights_and_loss(kind):
    case = Case(kind, 'w48', (64, 64))
    theirs, mine = upstream(case, 'cpu'), ours(case, 'cpu', with_cp='norm', channels_last=True)
    mine.model.load_state_dict(theirs.model.state_dict())
    assert mine.step() == pytest.approx(theirs.step(), rel=1e-4)
    (saved, _), (expected, _) = (saved_megabytes(training, torch.float32) for training in (mine, theirs))
    assert saved < 0.7 * expected


def test_the_page_has_every_system_and_bar(recorded, tmp_path):
    (tmp_path / 'results-cpu.json').write_text(json.dumps(recorded))
    write_page(tmp_path)
    text = (tmp_path / 'README.md').read_text()
    for name, row in recorded['cases'].items():
        assert f'### {name}' in text
        assert all(f'| {key} |' in text for key in row['systems'])
    row = recorded['cases'][SMALL[0].name]
    keys = {bar.case for bar in BARS}
    everywhere = {**recorded, 'cases': dict.fromkeys(keys, row)}
    assert 'at most' in page({'cpu': everywhere})


def test_switches_are_ways_to_train_that_are_measured():
    keys = {system.key for system in SYSTEMS}
    assert {switch.system for switch in SWITCHES} - {None} <= keys
    found = {switch.system: dict(saved_mb=60.0, ms=90.0) for switch in SWITCHES}
    row = dict(systems={UPSTREAM.key: dict(saved_mb=120.0, ms=100.0), **found}, time_commit='0', time_load=1.0)
    results = {'machine': '', 'python': '', 'versions': {}, 'cases': {'pyramid w18 512x512 batch 2 learning': row}}
    lines = page({'cpu': results}).splitlines()
    for switch in SWITCHES:
        (line,) = [line for line in lines if line.startswith(f'| {switch.trouble} |')]
        assert line.endswith('|  | 0.50, 0.90 |' if switch.system else '|  |  |')


def test_bars_are_about_what_is_measured():
    names = {case.name: case for case in CASES}
    for bar in BARS:
        (system,) = (s for s in SYSTEMS if s.key == bar.system)
        assert system.runs(names[bar.case])


@pytest.mark.slow
def test_the_peak_is_measured_in_a_process_of_its_own():
    case = CASES[0]
    (system,) = (s for s in SYSTEMS if s.key == 'ours fp32')
    assert peak_apart(system, case, 'cpu') > 100
    assert peak_apart(replace(system, name='unknown'), case, 'cpu') is None


def test_no_case_left_is_said():
    with pytest.raises(SystemExit, match='no case or no system is left'):
        main(['--cases', 'unknown'])
