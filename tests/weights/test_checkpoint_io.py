"""Reading checkpoints: what is understood, what is refused and how, and that nothing a file asks for ever runs."""

import collections
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hrnet_plugins.weights import load_state_dict, save

STATE = {'conv1.weight': torch.arange(24.0).reshape(2, 3, 2, 2), 'bn1.num_batches_tracked': torch.tensor(3)}
ARRAYS = {
    'plain': np.arange(6, dtype=np.float32).reshape(2, 3),
    'fortran': np.asfortranarray(np.arange(24, dtype=np.float64).reshape(2, 3, 4)),
    'scalar': np.array(2, np.int64),
    'empty': np.zeros((0, 3), np.float16),
}


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def same(a, b):
    return list(a) == list(b) and all(torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a)


@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
@pytest.mark.parametrize(
    'content',
    [
        STATE,
        collections.OrderedDict(STATE),
        {'state_dict': STATE, 'epoch': 3, 'model': 'cls_hrnet', 'perf': 0.7, 'optimizer': {'state': {}}},
        {'model': STATE, 'iteration': 9},
        {'state_dict': STATE, 'meta': {'time': 'now', 'score': np.float64(0.5), 'CLASSES': ('a',)}},
        {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in STATE.items()},
    ],
    ids=['plain', 'ordered', 'official', 'maskrcnn-benchmark', 'openmmlab', 'parameters'],
)
def test_torch_files(tmp_path, content, legacy):
    torch.save(content, tmp_path / 'x.pth.tar', _use_new_zipfile_serialization=not legacy)
    assert same(load_state_dict(tmp_path / 'x.pth.tar'), STATE)


def test_safetensors(tmp_path):
    save_file(STATE, tmp_path / 'misnamed.bin')
    assert load_state_dict(str(tmp_path / 'misnamed.bin')).keys() == STATE.keys()


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_pickled_arrays(tmp_path, protocol):
    content = {**ARRAYS, 'StructuredToParameterName@@': {'plain': 'linear_0.w_0'}}
    (tmp_path / 'x.pdparams').write_bytes(pickle.dumps(content, protocol))
    state = load_state_dict(tmp_path / 'x.pdparams')
    assert list(state) == list(ARRAYS)
    for key, array in ARRAYS.items():
        assert torch.equal(state[key], torch.from_numpy(array.copy())), key
        assert state[key].is_contiguous()


def write_bad(path, kind, trace):
    evil = {'state_dict': STATE, 'extra': Payload(trace)}
    if kind == 'zip':
        torch.save(evil, path)
    elif kind == 'legacy':
        torch.save(evil, path, _use_new_zipfile_serialization=False)
    elif kind.startswith('pickle'):
        path.write_bytes(pickle.dumps({**ARRAYS, 'extra': Payload(trace)}, int(kind[-1])))


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle2', 'pickle4', 'pickle5'])
def test_payload_is_listed_and_never_runs(tmp_path, kind):
    trace = tmp_path / 'was-run'
    write_bad(tmp_path / 'x.pth', kind, trace)
    message = rf'asks for {re.escape(os.mkdir.__module__)}\.mkdir, .*it was refused, and nothing of it was run'
    with pytest.raises(ValueError, match=message):
        load_state_dict(tmp_path / 'x.pth')
    assert not trace.exists()


def test_everything_asked_for_is_listed(tmp_path):
    torch.save({'a': Payload(tmp_path / 'a'), 'b': Path('b'), 'c': torch.nn.ReLU()}, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r'mkdir') as error:
        load_state_dict(tmp_path / 'x.pth')
    assert 'pathlib' in str(error.value)
    assert 'torch.nn.modules.activation.ReLU' in str(error.value)


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'safetensors', 'pickle'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.99])
def test_cut_off(tmp_path, kind, share):
    path = tmp_path / 'x'
    state = {'weight': torch.zeros(100, 100)}
    if kind == 'safetensors':
        save_file(state, path)
    elif kind == 'pickle':
        path.write_bytes(pickle.dumps({'weight': np.zeros((100, 100))}, 4))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == 'zip')
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=rf'{re.escape(str(path))}\) is damaged, cut off or no checkpoint .* again'):
        load_state_dict(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'<!DOCTYPE html><html>not found</html>', 'is no checkpoint: .*download page'),
        (b'PK\x03\x04 and no more', 'is damaged'),
        (b'x', 'is no checkpoint'),
        (pickle.dumps([1, 2]), 'is no checkpoint: its pickle holds a list'),
        (pickle.dumps({'a': 1}), 'entries that are no arrays: a'),
        (pickle.dumps({'a': np.array(['text'])}, 4), 'is no checkpoint: its pickle holds an array of type'),
        (pickle.dumps({'a': np.zeros(2, '>f4')}, 4), 'not plain little-endian'),
    ],
)
def test_no_checkpoint(tmp_path, content, message):
    (tmp_path / 'x').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_state_dict(tmp_path / 'x')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([1, 2], 'holds no state dict but a list'),
        ({}, 'holds no state dict but an empty dict'),
        ({'epoch': 3, 'w': torch.zeros(1)}, 'no tensors: epoch'),
    ],
    ids=str,
)
def test_no_state_dict(tmp_path, content, message):
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=message):
        load_state_dict(tmp_path / 'x.pth')


def test_no_file(tmp_path):
    for path in (tmp_path, tmp_path / 'x.pth'):
        with pytest.raises(FileNotFoundError, match='is not a file'):
            load_state_dict(path)


@pytest.mark.parametrize('name', ['x.safetensors', 'x.pth'])
def test_save(tmp_path, name):
    base = torch.arange(10.0)
    state = {**STATE, 'view': base[2:4], 'again': base[2:4], 'turned': torch.arange(6.0).reshape(2, 3).t()}
    save(state, tmp_path / name)
    loaded = load_state_dict(tmp_path / name)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[k], v) for k, v in state.items())
    assert os.listdir(tmp_path) == [name]
    (tmp_path / 'new').touch()
    assert (tmp_path / name).stat().st_mode == (tmp_path / 'new').stat().st_mode


@pytest.mark.parametrize('name', ['x.safetensors', 'x.pth'])
def test_save_is_whole_or_not_at_all(tmp_path, name, monkeypatch):
    (tmp_path / name).write_text('before')

    def fail(state, path, metadata=None):
        Path(path).write_text('half')
        raise OSError('no space left')

    monkeypatch.setattr('torch.save', fail)
    monkeypatch.setattr('safetensors.torch.save_file', fail)
    with pytest.raises(OSError, match='no space'):
        save(STATE, tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == 'before'


def test_save_refuses(tmp_path):
    with pytest.raises(ValueError, match=r'must end in \.safetensors or \.pth'):
        save(STATE, tmp_path / 'x.bin')
    with pytest.raises(FileNotFoundError, match='folder that does not exist'):
        save(STATE, tmp_path / 'no' / 'x.pth')
