"""The comparison of inference speeds: a tiny one from end to end, its page, and the bars."""

import gc
import json
import subprocess
import sys
import weakref

import pytest
import torch
from torch import nn

from benchmarks.inference import floor
from benchmarks.inference.__main__ import main, write_page
from benchmarks.inference.avx2 import HIDDEN, OBEDIENT
from benchmarks.inference.bars import BARS, UPSTREAM
from benchmarks.inference.cases import CASES, FIRST, TOOL, Case
from benchmarks.inference.environment import commit_of
from benchmarks.inference.floor import floor_ms, work
from benchmarks.inference.measure import interleaved, peak_apart, prepare
from benchmarks.inference.networks import networks
from benchmarks.inference.page import page
from benchmarks.inference.profiles import shares
from benchmarks.inference.record import record
from benchmarks.inference.systems import SYSTEMS, System
from benchmarks.inference.tool import VARIANTS, read_milliseconds, write_config
from hrnet_plugins.recipes import model_of
from tests.helpers.networks import TINY
from tests.helpers.upstream import register_upstreams

SMALL = Case('pyramid', TINY, (64, 96))
QUICK = [s for s in SYSTEMS if s.name in (UPSTREAM, 'ours, plain', 'ours, accelerated')]
(PLAIN,) = (s for s in QUICK if s.key == 'ours, plain fp32')


def broken(networks, dtype):
    raise RuntimeError('no such thing\nand more')


@pytest.fixture(scope='module', autouse=True)
def _small_products():
    """The machine's rates from products of a moment: tests do not need them exact."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floor, 'SIDES', {'cpu': 512, 'cuda': 512})
        patch.setattr(floor, 'COPIED', 1 << 20)
        yield


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    register_upstreams()
    path = tmp_path_factory.mktemp('recorded') / 'results-cpu.json'
    record([SMALL], [*QUICK, System('broken', 'fp32', broken)], path, device='cpu', measure=['time'])
    return json.loads(path.read_text())


def test_systems_agree_and_are_timed(recorded):
    row = recorded['cases'][SMALL.name]
    systems = row['systems']
    assert list(systems) == [*(system.key for system in QUICK if 'cpu' in system.devices), 'broken fp32']
    assert systems.pop('broken fp32') == {'failed': 'RuntimeError: no such thing'}
    for key, found in systems.items():
        assert found['ms'] > 0 and found['setup_s'] > 0
        assert found['error'] <= (3e-2 if key.endswith('bf16') else 1e-5), key
    assert recorded['rates'].keys() == {'fp32', 'bf16'}
    assert recorded['versions']['torch'] == torch.__version__
    assert row['mparams'] == sum(p.numel() for p in networks(SMALL, 'cpu').ours.parameters()) / 1e6


def test_results_of_the_same_machine_are_added_to(tmp_path):
    path = tmp_path / 'results-cpu.json'
    other = Case('pyramid', TINY, (96, 64))
    first = record([SMALL], [PLAIN], path, device='cpu', measure=['time'])
    both = record([other], [PLAIN], path, device='cpu', measure=['time'])
    assert list(both['cases']) == [SMALL.name, other.name]
    assert both['cases'][SMALL.name] == first['cases'][SMALL.name] and both['rates'] == first['rates']
    path.write_text(json.dumps({**both, 'machine': 'another'}))
    assert list(record([other], [PLAIN], path, device='cpu', measure=['time'])['cases']) == [other.name]


def test_memory_is_added_to_what_has_its_times(tmp_path, monkeypatch):
    path = tmp_path / 'results-cpu.json'
    monkeypatch.setattr('benchmarks.inference.record.commit_of', lambda _: 'first')
    timed = record([SMALL], [PLAIN], path, device='cpu', measure=['time'])['cases'][SMALL.name]
    monkeypatch.setattr('benchmarks.inference.record.commit_of', lambda _: 'second')
    monkeypatch.setattr('benchmarks.inference.record.peak_apart', lambda *_: 12.0)
    untimed = Case('pyramid', TINY, (96, 64))
    found = record([SMALL, untimed], QUICK, path, device='cpu', measure=['memory'])
    timed['systems'][PLAIN.key]['peak_mb'] = 12.0
    assert found['cases'] == {SMALL.name: {**timed, 'commit': 'first', 'memory_commit': 'second'}}


def test_what_is_measured_of_a_system_keeps_no_other_network():
    built = networks(SMALL, 'cpu')
    upstream = weakref.ref(built.upstream)
    run, _ = prepare(PLAIN, built)
    del built
    gc.collect()
    assert upstream() is None
    run()


def test_within_minutes_only_what_a_bar_is_about_is_compiled(tmp_path, monkeypatch):
    done = []
    for name in ('_record_case', '_record_memory'):
        monkeypatch.setattr(f'benchmarks.inference.record.{name}', lambda case, chosen, *_: done.append((case, chosen)))
    others = Case('pyramid', 'w18', (512, 512), 8), Case('pyramid', 'w32', (512, 512))
    for minutes, compiled in ((100, 4), (float('inf'), 24)):
        done.clear()
        record([FIRST, *others], SYSTEMS, tmp_path / 'r.json', device='cpu', minutes=minutes)
        assert [case for case, _ in done] == [FIRST, FIRST, *others, *others]
        assert sum(system.compiles for _, systems in done for system in systems) == compiled
        assert sum(system.compiles for system in done[0][1]) == 4


def test_the_first_case_is_complete_before_the_others_begin(tmp_path, monkeypatch):
    done = []
    for what in ('time', 'memory'):
        name = f'benchmarks.inference.record._record_{"case" if what == "time" else what}'
        monkeypatch.setattr(name, lambda case, *_, what=what: done.append((what, case.size)))
    cases = [Case('pyramid', TINY, (64, width)) for width in (64, 96, 128)]
    record(cases, [PLAIN], tmp_path / 'results-cpu.json', device='cpu')
    first, *others = (case.size for case in cases)
    assert done == [
        ('time', first),
        ('memory', first),
        *(('time', s) for s in others),
        *(('memory', s) for s in others),
    ]
    done.clear()
    record(cases, [PLAIN], tmp_path / 'results-cpu.json', device='cpu', minutes=0)
    assert done == [('time', first)]


def test_a_case_that_fails_is_not_the_end_of_the_others(tmp_path, monkeypatch, capsys):
    def work(run, model):
        raise RuntimeError('nms is not compiled with GPU support')

    monkeypatch.setattr('benchmarks.inference.record.work', work)
    cases = [SMALL, Case('pyramid', TINY, (96, 64))]
    found = record(cases, [PLAIN], tmp_path / 'results-cpu.json', device='cpu', measure=['time'])
    assert found['cases'] == {}
    assert capsys.readouterr().out.count('nms is not compiled') == 2


@pytest.mark.slow
def test_peak_memory_is_that_of_the_weights_and_the_largest_maps():
    peak = peak_apart(PLAIN, FIRST, 'cpu')
    model = networks(FIRST, 'cpu').ours
    weights = sum(p.numel() for p in model.parameters()) * 4 / 1e6
    concatenated = sum(model[0].out_channels) * 128 * 128 * 4 / 1e6  # HRFPN's input
    assert weights + concatenated < peak < weights + 20 * concatenated


def test_what_the_benchmark_wrote_leaves_the_commit_clean(tmp_path):
    def git(*arguments):
        command = ['git', '-C', tmp_path, '-c', 'user.name=a', '-c', 'user.email=a@b', *arguments]
        subprocess.run(command, check=True, capture_output=True)

    names = ('README.md', 'results-cpu.json', 'measure.py')
    assert commit_of(tmp_path) == 'unknown'
    git('init')
    for name in names:
        (tmp_path / name).touch()
    git('add', '.')
    git('commit', '-m', 'first')
    clean = commit_of(tmp_path)
    for name, expected in zip(names, (clean, clean, f'{clean}-dirty'), strict=True):
        (tmp_path / name).write_text('changed')
        assert commit_of(tmp_path) == expected


def test_arithmetic_and_bytes_are_those_of_the_convolutions():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    found = work(lambda: conv(torch.zeros(2, 3, 256, 320)), nn.Sequential(conv))
    pixels = 2 * 256 * 320
    assert found['gflop'] == round(2 * 27 * 8 * pixels / 1e9, 2)
    assert found['gvalues'] == round(((3 + 8) * pixels + 27 * 8 + 8) / 1e9, 4)
    rates = {'fp32': dict(gflop_per_s=100, gb_per_s=10), 'bf16': dict(gflop_per_s=400, gb_per_s=10)}
    assert floor_ms(dict(gflop=50, gvalues=0.5), rates, 'fp32') == pytest.approx(500)  # arithmetic
    assert floor_ms(dict(gflop=50, gvalues=2), rates, 'bf16') == pytest.approx(400)  # bytes, two each


def test_times_are_medians_of_calls_in_turns():
    calls = []
    found = interleaved({name: lambda name=name: calls.append(name) for name in 'ab'}, 'cpu')
    assert {row['calls'] for row in found.values()} == {15}
    assert calls == ['a', 'b'] + 15 * ['a', 'a', 'b', 'b']


def test_profile_knows_convolutions():
    conv = nn.Sequential(nn.Conv2d(64, 64, 3), nn.ReLU())
    x = torch.zeros(1, 64, 128, 128)
    found = shares(lambda: conv(x), 'cpu')
    assert next(iter(found)) == 'convolutions'
    assert sum(found.values()) == pytest.approx(1, abs=0.01)


def result(**ms):
    row = dict(setup_s=1, error=1e-6, best_ms=1, calls=3)
    systems = {key: dict(row, ms=value) for key, value in ms.items()}
    case = dict(commit='c', gflop=34.3, gvalues=0.1, mparams=12.3, load=0.1, systems=systems)
    rates = {dtype: dict(gflop_per_s=200, gb_per_s=10) for dtype in ('fp32', 'bf16')}
    where = dict(machine='M', versions={'torch': '2'}, rates=rates)
    return {**where, 'cases': {FIRST.name: case}, 'profiles': {FIRST.name: {'ours': {'convolutions': 0.8}}}}


def test_bars_are_ratios_of_one_recording():
    times = {
        f'{UPSTREAM} fp32': 300, 'ours, accelerated fp32': 120, 'ours, accelerated bf16': 120,
        'ours, onnxruntime fp32': 110, 'ours, openvino fp32': 100, 'ours, inductor fp32': 110,
    }  # fmt: skip
    reached = [bar.reached({'cpu': result(**times)}) for bar in BARS[:5]]
    assert reached == pytest.approx([2.5, 110 / 120, 2.5, 3.0, None])
    text = page({'cpu': result(**times)}, chart=False)
    verdicts = [line.rsplit('|', 2)[1].strip() for line in text.splitlines() if line.startswith('| CPU, ')]
    assert verdicts == ['pass', 'falls short', 'falls short', 'pass', 'not yet measured']
    gpu = [line for line in text.splitlines() if line.startswith('| GPU, ')]
    assert len(gpu) == 11 and all(line.endswith('| not yet measured |') for line in gpu)


def test_bars_name_cases_and_systems_that_exist():
    keys = {system.key for system in SYSTEMS}
    for bar in BARS:
        (case, ours), (other, theirs) = bar.ours, bar.theirs
        assert {case, other} <= {*CASES, TOOL}
        assert {*ours, theirs} <= keys
        if case != TOOL:
            known, device = (OBEDIENT, 'cpu') if bar.device == 'avx2' else (SYSTEMS, bar.device)
            assert {*ours, theirs} <= {s.key for s in known}
            assert all(s.runs(case.kind, device, case.arch) for s in known if s.key in ours)
        else:
            assert {*ours, theirs} <= set(VARIANTS)


def test_page_and_chart_are_written_from_the_results(tmp_path):
    found = result(**{f'{UPSTREAM} fp32': 300, 'ours, accelerated fp32': 120})
    (tmp_path / 'results-cpu.json').write_text(json.dumps(found))
    write_page(tmp_path)
    text = (tmp_path / 'README.md').read_text()
    assert '| ours, accelerated fp32 | 120.0 | 2.50 | 0.70 | 1.0 | 1e-06 |  |' in text
    assert '| convolutions | 80% |' in text
    assert text.count('Not yet measured.') == len(CASES) - 1
    assert (tmp_path / 'speed.png').stat().st_size > 10_000


def test_a_recording_without_wider_instructions_begins_anew_with_them_hidden(tmp_path, monkeypatch):
    begun = []

    def execve(program, command, variables):
        begun.append((command, variables))
        raise SystemExit  # the program is another from here on

    monkeypatch.setattr('os.execve', execve)
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('sys.orig_argv', ['python', '-m', 'benchmarks.inference', '--avx2'])
    with pytest.raises(SystemExit):
        main(['--avx2', '--out', str(tmp_path)])
    ((command, variables),) = begun
    assert command == [sys.executable, '-m', 'benchmarks.inference', '--avx2'] and HIDDEN.items() <= variables.items()
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        'benchmarks.inference.__main__.record', lambda _, systems, path, **__: begun.append((systems, path))
    )
    main(['--avx2', '--out', str(tmp_path)])
    systems, path = begun[1]
    assert path == tmp_path / 'results-avx2.json' and {s.dtype for s in systems} == {'fp32'}
    assert not any(s.compiles or 'onnxruntime' in s.packages for s in systems)


def test_a_page_says_what_was_hidden():
    found = result(**{'ours, accelerated fp32': 100, 'ours, openvino fp32': 105}) | {'settings': dict(HIDDEN)}
    text = page({'avx2': found}, chart=False)
    assert '| AVX2 alone, w18 fp32, against OpenVINO | 1.0x | 1.05x | pass |' in text
    assert 'hidden by `ONEDNN_MAX_CPU_ISA=AVX2` and `ATEN_CPU_CAPABILITY=avx2`' in text


def test_mmdets_tool_gets_the_same_model_in_every_variant(tmp_path, upstreams_names):
    models = {key: model_of(write_config(tmp_path, key)) for key in VARIANTS}
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in models.values()]
    assert all(shape == shapes[0] for shape in shapes), 'one checkpoint fits them all'
    kinds = {key: type(model.backbone).__module__.partition('.')[0] for key, model in models.items()}
    assert kinds == {key: 'mmdet' if key.startswith(UPSTREAM) else 'hrnet_plugins' for key in VARIANTS}
    assert 'Accelerated' in type(models['ours, accelerated bf16']).__name__


def test_mmdets_tool_has_the_last_word():
    text = (
        'Done image [50/200], fps: 9.0 img/s\nOverall fps: 10.4 img/s, times per image: 96.2 ms/img\ncuda memory: 1 MB'
    )
    assert read_milliseconds(text) == 96.2
    with pytest.raises(ValueError, match='printed no speed; its last words: no GPU'):
        read_milliseconds('no GPU')


def test_options_that_leave_nothing_say_so(tmp_path):
    with pytest.raises(SystemExit, match='no case or no system is left'):
        main(['--widths', 'w18', '--kinds', 'ocr', '--out', str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['faster-rcnn', 'ocr'])
def test_whole_models_are_the_same_around_upstreams_backbone(kind, tmp_path):
    case = Case(kind, 'w48' if kind == 'ocr' else 'w18', (256, 256))
    found = record([case], QUICK, tmp_path / 'results-cpu.json', device='cpu', measure=['time'])
    for key, row in found['cases'][case.name]['systems'].items():
        assert row['error'] <= (3e-2 if key.endswith('bf16') else 1e-5), key
