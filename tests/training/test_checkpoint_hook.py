"""A kill at any moment loses no checkpoint, and a resumed run goes on as an unbroken one."""

import json
import os
import random
import subprocess
import sys

import pytest
import torch
from mmengine.runner import Runner

from hrnet_plugins.training.latest import newest_whole
from hrnet_plugins.training.work_folder import hold, release
from tests.helpers import toy_training
from tests.helpers.processes import environment
from tests.helpers.toy_training import killed, losses, train

pytestmark = pytest.mark.filterwarnings('ignore')


def test_killed_trainings_resume(tmp_path):
    rng = random.Random(0)  # noqa: S311, moments
    work = tmp_path / 'work'
    work.mkdir()
    for i in range(4):
        killed(work, rng.uniform(0, 0.3), inside_save=i % 2 == 1, epochs=40)
        found = newest_whole(work, work, 'epoch_{}.pth')
        assert found is not None or not list(work.glob('epoch_*.pth'))
    train(work, epochs=2 + (found is not None and int(found[0].stem.split('_')[1])))
    assert not list(work.glob('.*.tmp'))
    assert len(list(work.glob('epoch_*.pth'))) == 1


@pytest.mark.parametrize('fail', ['first byte', 'half', 'rename'])
def test_an_interrupted_save_keeps_the_checkpoint_before(tmp_path, monkeypatch, fail):
    train(tmp_path, epochs=1)
    save = Runner.save_checkpoint

    def interrupted(self, out_dir, filename, *args, **named):
        save(self, out_dir, filename, *args, **named)
        path = os.path.join(out_dir, filename)
        if fail != 'rename':
            os.truncate(path, 0 if fail == 'first byte' else os.path.getsize(path) // 2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Runner, 'save_checkpoint', interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, epochs=2)
    assert [path.name for path in tmp_path.glob('epoch_*')] == ['epoch_1.pth']
    train(tmp_path, epochs=2)
    assert [path.name for path in tmp_path.glob('epoch_*')] == ['epoch_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('epoch_2.pth')
    assert not list(tmp_path.glob('.*.tmp'))


def test_damaged_checkpoints_are_skipped_and_named(tmp_path):
    train(tmp_path, epochs=2)
    good = (tmp_path / 'epoch_2.pth').read_bytes()
    (tmp_path / 'epoch_3.pth').write_bytes(good[:-1000])
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    (tmp_path / 'epoch_4.pth').write_bytes(flipped)
    (tmp_path / 'last_checkpoint').write_text('')
    path, skipped = newest_whole(tmp_path, tmp_path, 'epoch_{}.pth')
    assert path.name == 'epoch_2.pth'
    assert len(skipped) == 2
    assert 'epoch_4.pth' in skipped[0]
    path.unlink()
    with pytest.raises(ValueError, match=r'no checkpoint in .* can be resumed from'):
        train(tmp_path, epochs=3)


def test_an_older_run_with_higher_numbers_is_not_resumed(tmp_path):
    train(tmp_path, epochs=2)
    os.utime(tmp_path / 'epoch_2.pth', (2e9, 2e9))
    content = (tmp_path / 'epoch_2.pth').read_bytes()
    (tmp_path / 'epoch_9.pth').write_bytes(content)
    os.utime(tmp_path / 'epoch_9.pth', (1e9, 1e9))
    assert newest_whole(tmp_path, tmp_path, 'epoch_{}.pth')[0].name == 'epoch_2.pth'
    (tmp_path / 'epoch_3.pth').write_bytes(content)
    os.utime(tmp_path / 'epoch_3.pth', (2.1e9, 2.1e9))  # written before a kill that came before `last_checkpoint`
    assert newest_whole(tmp_path, tmp_path, 'epoch_{}.pth')[0].name == 'epoch_3.pth'


def test_there_is_nothing_to_resume(tmp_path):
    assert newest_whole(tmp_path, tmp_path, 'epoch_{}.pth') is None


INSIDE = dict(checkpoint=dict(type='hrnet_plugins.CheckpointHook', interval=2, by_epoch=False, max_keep_ckpts=1))


@pytest.mark.parametrize('hooks', [None, INSIDE], ids=['by epoch', 'inside epochs'])
def test_a_resumed_run_has_the_losses_of_an_unbroken_one(tmp_path, hooks):
    options = {} if hooks is None else dict(default_hooks=hooks)
    train(tmp_path / 'whole', epochs=4, **options)
    work = tmp_path / 'broken'

    class Stop(toy_training.Losses):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
            if runner.iter == 7:  # the second of the third epoch's three
                raise KeyboardInterrupt

    work.mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(work, epochs=4, custom_hooks=[Stop(work / 'losses.txt')], **options)
    torch.rand(5)
    train(work, epochs=4, **options)
    assert losses(work) == losses(tmp_path / 'whole')
    assert len(losses(work)) == 12


def test_a_folder_in_use_is_refused_with_its_holder(tmp_path, monkeypatch):
    hold(tmp_path)
    holder = json.loads((tmp_path / '.training.json').read_text())
    assert holder['process'] == os.getpid()
    code = (
        'import sys\n'
        'from pathlib import Path\n'
        'from hrnet_plugins.training.work_folder import hold\n'
        'try: hold(Path(sys.argv[1]))\n'
        'except ValueError as error: print(error)'
    )
    argv = [sys.executable, '-W', 'ignore', '-c', code, tmp_path]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=True)
    assert f'is in use by process {holder["process"]}' in done.stdout
    hold(tmp_path)  # this process may begin again
    release(tmp_path)
    assert not (tmp_path / '.training.json').exists()


@pytest.mark.parametrize('change', ['width', 'names', 'missing'])
def test_weights_that_do_not_fit_are_refused(tmp_path, change):
    train(tmp_path, epochs=1)
    content = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    if change == 'width':
        content['backbone.weight'] = torch.zeros(3, 512)
    elif change == 'names':
        content = {f'x.{key}': value for key, value in content.items()}
    else:
        del content['backbone.weight']
    torch.save(dict(state_dict=content), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'`load_from` \(.*other.pth\)'):
        train(tmp_path / 'new', epochs=1, resume=False, load_from=str(tmp_path / 'other.pth'))
