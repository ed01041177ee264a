"""The line that shows progress, in a real terminal and in a pipe."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.helpers.processes import environment, run

ERASE = '\r\x1b[2K'
FEW = ['train_dataloader.dataset.indices=12', 'val_dataloader.dataset.indices=6', 'train_cfg.max_epochs=1']
FEW += ['train_cfg.val_interval=1', 'default_hooks.logger.interval=2']  # three steps, of which the log shows one


def in_a_terminal(folder, *args):
    """What the command line prints in a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, '-m', 'hrnet_plugins.cli', *map(str, args)]
    env = environment(TERM='xterm-256color', COLUMNS='150')
    with subprocess.Popen(command, cwd=folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b''
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # Linux's way to say that the other side is gone
                break
            if not chunk:
                break
            said += chunk
    os.close(ours)
    text = said.decode().replace('\r\n', '\n')
    assert process.returncode == 0, text[-3000:]
    return text


@pytest.mark.slow
def test_training_in_a_terminal(digits, digits_recipe, tmp_path):
    text = in_a_terminal(digits, 'train', digits_recipe, '--work-dir', tmp_path, '--cfg-options', *FEW)
    drawn = [look for look in text.split(ERASE) if look.startswith(('epoch', 'validation'))]
    assert [look.split('  ')[1] for look in drawn if look.startswith('epoch')] == ['step 0/3', 'step 1/3']
    assert re.match(r'epoch 1/1  step 1/3  loss [\d.]+  [\d.e+]+ images/s  0:\d\d:\d\d left$', drawn[1])
    assert any(look.startswith('validation  step 1/6  ') for look in drawn)
    for look in drawn:  # each is drawn over before anything else is printed
        assert '\n' not in look
    assert not list(tmp_path.glob('*/*.log')) or 'images/s' not in next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.slow
def test_training_in_a_pipe_has_no_control_codes(digits, digits_recipe, tmp_path):
    options = ['--work-dir', tmp_path, '--cfg-options', *FEW]
    text = run(digits, 'train', digits_recipe, *options, module='hrnet_plugins.cli')
    assert ERASE not in text
    shown = re.findall(r'^epoch 1/1  step (\d)/3', text, re.MULTILINE)
    logged = re.findall(r'Epoch\(train\) +\[1\]\[(\d)/3\]', text)
    assert logged == ['2']
    assert not set(shown) & set(logged)
