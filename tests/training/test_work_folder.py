"""One training at a time in a folder: what else than another training can be there."""

import json
import logging
import socket

import pytest
from filelock import FileLock

from hrnet_plugins.training import work_folder
from hrnet_plugins.training.work_folder import hold, release


@pytest.mark.parametrize('problem', [OSError('no locks here'), NotImplementedError('nor there')])
def test_a_file_system_without_locks_is_a_warning(problem, tmp_path, monkeypatch, caplog):
    def acquire(self, timeout):
        raise problem

    monkeypatch.setattr(FileLock, 'acquire', acquire)
    with caplog.at_level(logging.WARNING):
        hold(tmp_path)
    assert f'{tmp_path} cannot be locked: {problem}' in caplog.text
    release(tmp_path)  # nothing is held


@pytest.mark.parametrize(
    ('holder', 'said'),
    [
        (dict(process=5, host='another', since='yesterday'), 'in use by process 5 on another, since yesterday'),
        ('{"process": ', r'in use by process \? on \?, since \?'),
        ([1, 2], r'in use by process \? on \?, since \?'),
        (dict(process='x', host=socket.gethostname()), 'in use by process x'),
    ],
    ids=['another machine', 'damaged', 'a list', 'no number'],
)
def test_who_holds_it_may_be_unknown(holder, said, tmp_path, monkeypatch):
    monkeypatch.setattr(work_folder, '_WAIT', 0.3)
    (tmp_path / '.training.json').write_text(holder if isinstance(holder, str) else json.dumps(holder))
    with FileLock(tmp_path / '.training.lock'), pytest.raises(ValueError, match=said):
        hold(tmp_path)


def test_a_folder_is_free_again_and_may_be_taken_twice_by_one_process(tmp_path):
    hold(tmp_path)
    hold(tmp_path)
    release(tmp_path)
    assert not (tmp_path / '.training.json').exists()
    FileLock(tmp_path / '.training.lock').acquire(timeout=0).lock.release()
