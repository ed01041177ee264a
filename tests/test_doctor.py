"""What ``hrnet-plugins doctor`` says, and that it finds what is wrong."""

import importlib
import json
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hrnet_plugins import __version__, cli, doctor, environment, processor
from hrnet_plugins.doctor import forward
from hrnet_plugins.mmcv_ops.install import InstallError
from hrnet_plugins.weights import hub
from hrnet_plugins.weights.catalog import CATALOG
from tests.helpers.networks import extra_of


def run():
    return CliRunner().invoke(cli.main, ['doctor'])


@pytest.fixture
def quick(monkeypatch):
    """A function that leaves one section in the report."""

    def only(title):
        monkeypatch.setattr(doctor, 'SECTIONS', {title: doctor.SECTIONS[title]})

    return only


@pytest.mark.parametrize('case', forward.CASES, ids=lambda case: case.name)
def test_the_forward_is_right(case):
    if case.device == 'cuda' and not torch.cuda.is_available():
        assert forward.difference(case) is None
    else:
        assert forward.difference(case) <= case.tolerance


@pytest.mark.parametrize('case', [case for case in forward.CASES if case.device == 'cpu'], ids=lambda case: case.name)
def test_a_forward_that_is_wrong_is_told(case, monkeypatch, quick):
    quick('a small forward')
    monkeypatch.setattr(forward, 'CASES', (case,))
    image = forward.image
    monkeypatch.setattr(forward, 'image', lambda: image() * (1 + 40 * case.tolerance))
    done = run()
    assert done.exit_code == 1
    assert 'NOT the stored reference' in done.output
    monkeypatch.setattr(forward, 'image', lambda: image() * float('nan'))
    assert run().exit_code == 1


def test_the_stored_values_are_upstreams():
    hrnet = importlib.import_module('mmdet.models.backbones.hrnet').HRNet
    hrfpn = importlib.import_module('mmdet.models.necks.hrfpn').HRFPN
    neck = hrfpn(list(forward.ARCH.channels), forward.NECK_CHANNELS)
    model = nn.Sequential(hrnet(extra_of(forward.ARCH)), neck)
    model.load_state_dict(forward.weights({key: tuple(value.shape) for key, value in model.state_dict().items()}))
    model.double().train(False)
    with torch.no_grad():
        values = forward.sample(model(forward.image().double()))
    stored = torch.tensor(json.loads(forward.REFERENCE.read_text()), dtype=torch.float64)
    assert len(stored) > 400
    torch.testing.assert_close(values, stored, rtol=1e-7, atol=1e-8)


def test_a_whole_report_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv('HRNET_PLUGINS_CACHE', str(tmp_path))
    monkeypatch.delenv('HRNET_PLUGINS_WEIGHTS', raising=False)
    (tmp_path / 'w18.safetensors').write_bytes(b'0' * 2_500_000)
    done = run()
    assert done.exit_code == 0, done.output
    for part in (
        f'hrnet_plugins            {__version__}',
        torch.__version__,
        next(iter(environment.distributions())),
        processor.cpu_name(),
        "accelerate(dtype='bf16')",
        f'{tmp_path}, 1 file, 2.5 MB',
        f'{len(CATALOG)}: 0 in the folder, 1 in the cache, {len(CATALOG) - 1} to download',
        'operators of mmcv',
        'plain model              equal to the stored reference',
        'Nothing is wrong.',
    ):
        assert part in done.output, part


def test_weights_in_a_folder_of_the_users_own(monkeypatch, tmp_path, quick):
    quick('weights')
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv('HRNET_PLUGINS_CACHE', str(tmp_path / 'cache'))
    (tmp_path / 'w18.pth').touch()
    (tmp_path / CATALOG['cls_w18'].sources[-1].file).touch()
    assert '2 in the folder, 0 in the cache' in run().output
    assert [hub.place_of(name) for name in ('w18', 'cls_w18', 'w32')] == ['folder', 'folder', 'download']
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(tmp_path / 'nowhere'))
    done = run()
    assert done.exit_code == 1
    assert 'is not a folder' in done.output


@pytest.mark.parametrize(
    ('found', 'said', 'wrong'),
    [
        ({'onedl-mmengine': '1', 'mmdet': '3'}, 'both stacks are installed', True),
        ({}, "neither onedl nor openmmlab: pip install 'hrnet-plugins[onedl]'", True),
        ({'onedl-mmengine': '1', 'onedl-mmcv': '2'}, 'mmdet                    is not installed; its recipes', False),
        ({'mmengine': '1'}, 'mmcv                     is not installed: pip install', True),
    ],
)
def test_stacks(found, said, wrong, monkeypatch, quick):
    quick('stack')
    monkeypatch.setattr(environment, 'distributions', lambda: found)
    monkeypatch.setattr(doctor.importlib, 'import_module', lambda name: None)
    done = run()
    assert said in done.output
    assert done.exit_code == wrong


def test_a_framework_that_does_not_import(monkeypatch, quick):
    def broken(name):
        raise RuntimeError('operator torchvision::nms does not exist')

    quick('stack')
    monkeypatch.setattr(doctor.importlib, 'import_module', broken)
    done = run()
    assert done.exit_code == 1
    assert 'does not import: RuntimeError: operator torchvision::nms does not exist' in done.output


def test_operators_that_are_not_there(monkeypatch, quick):
    quick('operators')
    found = doctor.importlib.import_module('hrnet_plugins.mmcv_ops.install')
    monkeypatch.setattr(found.Mmcv, 'state', 'absent')
    done = run()
    assert done.exit_code == 1
    assert '`hrnet-plugins mmcv-ops install` gives it ours' in done.output

    def nowhere():
        raise InstallError('mmcv is not installed')

    monkeypatch.setattr(found, 'find', nowhere)
    assert 'mmcv is not installed' in run().output


@pytest.mark.parametrize(
    ('sets', 'supported', 'said'),
    [
        (('avx2',), False, 'computes in float32'),
        (('avx512f',), False, 'computes in float32'),
        (('avx512f', 'avx512_bf16'), True, 'by its bfloat16 instructions'),
        (('asimd', 'bf16'), True, 'by its bfloat16 instructions'),
        (('avx512_bf16', 'amx_tile', 'amx_bf16'), True, 'by AMX tiles'),
    ],
)
def test_bfloat16_on_cpus(sets, supported, said):
    assert said in doctor._bf16_on_cpu(sets, supported)


def test_a_gpu_is_named(monkeypatch, quick):
    quick('GPUs')
    facts = type('Facts', (), dict(name='Some GPU', total_memory=80 * 2**30, major=9, minor=0))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda index: facts)
    assert 'Some GPU, 80 GiB, compute capability 9.0; tensor cores for bf16 and fp16' in run().output


def test_a_section_that_breaks_off_is_wrong_and_the_others_are_told(monkeypatch):
    def broken():
        yield doctor.Finding('first', 'fine')
        raise OSError('the disk is gone')

    whole = (doctor.Finding('second', 'fine as well'),)
    monkeypatch.setattr(doctor, 'SECTIONS', {'one': broken, 'two': lambda: iter(whole)})
    done = run()
    assert done.exit_code == 1
    assert 'could not be examined: OSError: the disk is gone' in done.output
    assert 'fine as well' in done.output
    assert '1 thing is wrong' in done.output


def test_cases_are_strict():
    assert {case.device for case in forward.CASES} == {'cpu', 'cuda'}
    assert all(case.tolerance <= 1e-5 for case in forward.CASES if case.dtype != 'bf16')
    assert forward.difference(replace(forward.CASES[0], tolerance=0.0)) > 0, 'the tolerance decides nothing here'
