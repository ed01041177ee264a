"""Nothing that a file holds is ever run: by our reader, by mmengine, on a resume or in an inferencer."""

import contextlib
import io
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

import hrnet_plugins
from hrnet_plugins import mmengine_hooks
from hrnet_plugins.recipes import model_of, recipes
from hrnet_plugins.weights import load_content, load_state_dict
from hrnet_plugins.weights.plain_config import NotPlainError, plain_config, without_code
from tests.helpers import hostile
from tests.helpers.processes import environment


def test_no_payload_runs_whoever_reads(tmp_path):
    trace = tmp_path / 'ran'
    readers = (
        load_state_dict,
        load_content,
        lambda path: CheckpointLoader.load_checkpoint(str(path)),
        lambda path: mmengine_hooks.load_file(io.BytesIO(path.read_bytes())),
    )
    count = 0
    for path in hostile.files(tmp_path, trace):
        for read in readers:
            # Of two pickles PyTorch reads the first alone, which is empty here.
            with pytest.raises(ValueError, match=r'refused|is no checkpoint|damaged|an empty dict'):
                if read(path) == {} and path.stem == 'two-pickles':
                    raise ValueError('an empty dict')
            assert not trace.exists(), path.name
        count += 1
    assert count >= 40


def test_they_would_run_without_care(tmp_path):
    trace = tmp_path / 'ran'
    ran = 0
    for path in hostile.files(tmp_path, trace):
        if path.suffix == '.pth' and '_2_' in path.name:
            torch_load_unsafe(path)
            ran += trace.exists()
            if trace.exists():
                trace.rmdir()
    assert ran >= 10


def torch_load_unsafe(path):
    with contextlib.suppress(Exception):  # the payload has run by then, or not
        torch.load(path, weights_only=False)


@pytest.mark.parametrize('what', hostile.texts(os))
def test_texts_of_configs_are_data(what, tmp_path):
    text = hostile.texts(tmp_path / 'ran')[what]
    with pytest.raises(NotPlainError):
        plain_config(text)
    path = tmp_path / 'x.pth'
    torch.save(
        dict(state_dict={}, meta=dict(config=text, cfg=text), message_hub=dict(runtime_info=dict(cfg=text))), path
    )
    content = CheckpointLoader.load_checkpoint(str(path))
    assert content['meta'] == {}
    assert content['message_hub'] == dict(runtime_info={})
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('value', [3, None, ['import os'], {'a': 1}, b'import os'], ids=str)
def test_what_is_no_text_is_taken_out(value):
    content = dict(meta=dict(config=value))
    assert len(without_code(content)) == 1
    assert content == dict(meta={})


@pytest.mark.parametrize('name', sorted(recipes())[::9])
def test_own_configs_stay(name):
    config = Config.fromfile(recipes()[name])
    plain = Config.fromstring(plain_config(config.pretty_text), file_format='.py')
    assert plain.to_dict() == config.to_dict()


def test_numbers_that_have_no_literal_stay():
    assert plain_config("a = float('inf')\nb = (1,)\nc = {2}\n") == "a = float('inf')\nb = (1,)\nc = {2}\n"


def test_a_person_may_trust_a_file(tmp_path, monkeypatch):
    trace = tmp_path / 'ran'
    torch.save(dict(state_dict={}, meta=hostile.Reduced(os.mkdir, str(trace))), tmp_path / 'x.pth')
    monkeypatch.setenv('HRNET_PLUGINS_TRUST', 'yes, please')
    with pytest.raises(ValueError, match='say so with --trust or HRNET_PLUGINS_TRUST=1'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    monkeypatch.setenv('HRNET_PLUGINS_TRUST', '1')
    CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    assert trace.exists()


def test_addresses_are_read_as_safely(tmp_path, monkeypatch):
    torch.save(hostile.Reduced(os.mkdir, str(tmp_path / 'ran')), tmp_path / 'x.pth')
    monkeypatch.setattr('hrnet_plugins.weights.hub.file_of', lambda url: tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='refused'):
        CheckpointLoader.load_checkpoint('https://example.org/x.pth')
    assert not (tmp_path / 'ran').exists()


def test_importing_the_library_after_mmengine_is_enough(tmp_path):
    code = (
        'import mmengine.runner.checkpoint as c, hrnet_plugins, sys\n'
        'try: c._load_checkpoint(sys.argv[1])\n'
        'except ValueError as error: print(error)'
    )
    torch.save(hostile.Reduced(os.mkdir, str(tmp_path / 'ran')), tmp_path / 'x.pth')
    argv = [sys.executable, '-W', 'ignore', '-c', code, tmp_path / 'x.pth']
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
    assert 'it was refused' in done.stdout
    assert not (tmp_path / 'ran').exists()
    assert hrnet_plugins


def test_arrays_of_other_classes_are_refused(tmp_path):
    (tmp_path / 'x').write_bytes(pickle.dumps({'a': np.ma.zeros(3)}))
    with pytest.raises(ValueError, match='refused'):
        load_state_dict(tmp_path / 'x')


@pytest.mark.filterwarnings('ignore')  # mmdet's, of optional packages
@pytest.mark.parametrize('hostile_text', [False, True])
def test_an_inferencer_made_from_a_checkpoint_alone(digits_recipe, tmp_path, hostile_text):
    """Mmengine makes the model from the text of the config that the checkpoint holds."""
    from mmdet.apis import DetInferencer  # noqa: PLC0415, slow

    text = Config.fromfile(digits_recipe).pretty_text
    if hostile_text:
        text += f'\nimport os\nos.mkdir({str(tmp_path / "ran")!r})\n'
    path = tmp_path / 'x.pth'
    state = model_of(digits_recipe).state_dict()
    torch.save(dict(state_dict=state, meta=dict(cfg=text), message_hub=dict(runtime_info=dict(cfg=text))), path)
    if hostile_text:
        with pytest.raises((KeyError, ValueError)):
            DetInferencer(weights=str(path), device='cpu', show_progress=False)
    else:
        infer = DetInferencer(weights=str(path), device='cpu', show_progress=False)
        assert len(infer(np.zeros((64, 64, 3), np.uint8))['predictions']) == 1
    assert not (tmp_path / 'ran').exists()
