"""What killed programs left behind goes; what is somebody's stays."""

import importlib
import os
import time
from pathlib import Path

import pytest
import torch

from hrnet_plugins.inference import exporting
from hrnet_plugins.inference.exporting import EXPORT_FORMATS
from hrnet_plugins.inference.part import Part
from hrnet_plugins.leftovers import OLD, remove_leftovers
from hrnet_plugins.weights import catalog, hub
from hrnet_plugins.weights.saving import save


def grow_old(path):
    past = time.time() - OLD - 60
    os.utime(path, (past, past), follow_symlinks=False)


def test_only_old_ones_of_one_purpose_go(tmp_path):
    (tmp_path / '.a.pth.new').write_text('new')
    (tmp_path / '.a.pth.old').write_text('old')
    (tmp_path / '.b.pth.old').write_text("another's")
    (tmp_path / '.a.pth.folder').mkdir()
    (tmp_path / '.a.pth.folder' / 'inside').write_text('old')
    (tmp_path / 'kept').write_text("a user's")
    (tmp_path / '.a.pth.link').symlink_to(tmp_path / 'kept')
    for path in tmp_path.iterdir():
        if path.name != '.a.pth.new':
            grow_old(path)
    remove_leftovers(tmp_path, '.a.pth.*')
    assert {path.name for path in tmp_path.iterdir()} == {'.a.pth.new', '.b.pth.old', 'kept'}
    assert (tmp_path / 'kept').read_text() == "a user's"


def test_a_pattern_of_folders_spares_files(tmp_path):
    (tmp_path / 'tiny.pth').write_text("a user's")
    (tmp_path / 'tiny.xyz').mkdir()
    remove_leftovers(tmp_path, 'tiny.*/', age=0)
    assert [path.name for path in tmp_path.iterdir()] == ['tiny.pth']


def test_a_folder_that_is_not_there_is_no_error(tmp_path):
    remove_leftovers(tmp_path / 'absent', '*')


def test_saving_removes_what_an_earlier_save_left(tmp_path):
    target = tmp_path / 'w.safetensors'
    save({'a': torch.zeros(1)}, target)
    made = {path.name for path in tmp_path.iterdir()}
    left = tmp_path / f'.{target.name}.left'
    left.write_bytes(b'half')
    grow_old(left)
    save({'a': torch.ones(1)}, target)
    assert {path.name for path in tmp_path.iterdir()} == made


def test_the_cache_is_cleared_under_the_lock(tmp_path, monkeypatch):
    monkeypatch.setenv(hub.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(hub.FOLDER_VARIABLE, raising=False)
    weight = catalog.Weight('backbone', (catalog.Source('http://127.0.0.1:9/tiny.pth'),), 'none', 'nobody')
    monkeypatch.setattr(hub, 'CATALOG', {'tiny': weight})
    place = tmp_path / 'tiny.abc'
    place.mkdir()
    (place / 'tiny.pth.x.part').write_bytes(bytes(1000))
    (tmp_path / '.tiny.safetensors.x').write_bytes(bytes(1000))
    (tmp_path / 'tiny.pth').write_text("a user's")
    with pytest.raises(FileNotFoundError):
        hub.load('tiny')
    assert {path.name for path in tmp_path.iterdir()} == {'tiny.pth', 'tiny.lock'}


@pytest.fixture
def export(monkeypatch, tmp_path):
    """Write a model of two files whose content is a text, by all steps of a real export but the conversion."""
    target = EXPORT_FORMATS['openvino']

    def write(program, part, draft, facts):
        draft.write_text(facts['text'])
        draft.with_suffix('.bin').write_text(facts['text'])
        return 'two files'

    library = importlib.import_module(target.module)
    monkeypatch.setattr(library, 'write', write)
    monkeypatch.setattr(library, 'open_with_runtime', lambda path: None)
    monkeypatch.setattr(exporting, 'trace', lambda part: None)
    monkeypatch.setattr(exporting, 'compare', lambda run, part: {(1, 3, 4, 4): 0.0})
    part = Part(torch.nn.Identity(), (), '', 3)
    return lambda text: exporting.write(part, tmp_path / 'tiny.xml', target, facts={'text': text})


@pytest.mark.parametrize('killed_at', [0, 1])
def test_a_kill_between_two_files_leaves_no_model_of_two_halves(tmp_path, monkeypatch, export, killed_at):
    """OpenVINO's ``.xml`` and ``.bin``: at no moment does a new one stand beside an old one."""
    export('old')
    assert {path.read_text() for path in tmp_path.iterdir()} == {'old'}
    replace, moved = Path.replace, []

    def killed(self, to):
        if len(moved) == killed_at:
            raise KeyboardInterrupt
        moved.append(to)
        return replace(self, to)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, 'replace', killed)
        export('new')
    assert not (tmp_path / 'tiny.xml').exists(), 'the file that names the other is put in place last'
    export('newest')
    assert {path.read_text() for path in tmp_path.iterdir()} == {'newest'}


def test_exporting_removes_what_a_killed_export_left(tmp_path, export):
    left = tmp_path / '.tiny.xml.left'
    left.mkdir()
    (left / 'tiny.bin').write_bytes(b'half')
    grow_old(left)
    export('new')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['tiny.bin', 'tiny.xml']
