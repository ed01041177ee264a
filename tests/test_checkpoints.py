"""mmengine's own checkpoints load with torch's safe loading on; anything else in a file is still refused."""

import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

WRITE = """
import sys, numpy as np, torch
from mmengine.logging import HistoryBuffer
history = HistoryBuffer()
for i in range(3):
    history.update(np.float64(i) if i else 0.5)
hub = dict(log_scalars={'loss': history})
torch.save(dict(state_dict={}, message_hub=hub, n=np.int64(3), f=np.float32(1)), sys.argv[1])
"""
READ = """
import sys, hrnet_plugins.registry
from mmengine.runner.checkpoint import _load_checkpoint
loaded = _load_checkpoint(sys.argv[1], map_location='cpu')
assert loaded['message_hub']['log_scalars']['loss'].current() == 2 and loaded['n'] == 3
"""


def test_log_history_loads(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    for code in (WRITE, READ):
        subprocess.run([sys.executable, '-W', 'ignore', '-c', code, path], check=True)


class Payload:
    """What unpickling must never run."""

    def __reduce__(self):
        return exec, ('raise SystemExit("payload ran")',)


class Attribute:
    """``getattr`` on a listed class: the log history needs it for its own methods, and nothing more may pass."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


@pytest.mark.parametrize(
    'what',
    [Payload(), np.random.default_rng, Attribute(HistoryBuffer, '__init__'), Attribute(np.ndarray, 'tofile')],
    ids=['payload', 'function', 'other attribute', 'attribute of another class'],
)
def test_strangers_files_stay_refused(tmp_path, what):
    import hrnet_plugins.registry  # noqa: F401, PLC0415, it adds to the safe classes

    path = tmp_path / 'stranger.pth'
    torch.save(dict(state_dict={}, meta=what), path)
    with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
        torch.load(path)


def test_the_log_names_the_backend(monkeypatch, caplog):
    import hrnet_plugins.registry  # noqa: F401, PLC0415, it registers the names

    monkeypatch.setattr('hrnet_plugins.weights.hub.load', lambda name: {'a': torch.ones(1)})
    with caplog.at_level(logging.INFO):
        loaded = CheckpointLoader.load_checkpoint('hrnet://w32', logger=logging.getLogger('test'))
    assert loaded == dict(state_dict={'a': torch.ones(1)}, meta={})
    assert 'Loads checkpoint by hrnet backend from path: hrnet://w32' in caplog.text


def test_registering_does_not_import_what_converts():
    code = 'import sys, hrnet_plugins.registry; print("hrnet_plugins.weights.hub" in sys.modules)'
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout == 'False\n'
