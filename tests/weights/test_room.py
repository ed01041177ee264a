"""What importing the room imports, and its public names."""

import importlib.util
import subprocess
import sys
import tempfile

import pytest

from hrnet_plugins import weights
from tests.helpers.processes import environment


def test_needs_torch_only():
    code = """
import sys
for name in ('mmengine', 'mmcv', 'safetensors', 'mmdet', 'mmseg', 'mmpretrain', 'timm', 'huggingface_hub'):
    sys.modules[name] = None
import torch
from hrnet_plugins.weights import load_state_dict, recognise, save
save({'backbone.conv1.weight': torch.zeros(2)}, sys.argv[1])
print(recognise(load_state_dict(sys.argv[1])))
"""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-c', code, f'{folder}/x.pth']
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    assert done.stdout == 'openmmlab\n'


@pytest.mark.parametrize('module', ['weights', 'weights.catalog', 'weights.download'])
def test_light_modules_import_no_torch(module):
    code = f'import sys; sys.modules["torch"] = sys.modules["mmengine"] = None; import hrnet_plugins.{module}'
    subprocess.run([sys.executable, '-c', code], check=True, env=environment())


def test_public_names():
    assert set(weights.__all__) == set(weights._MODULES) <= set(dir(weights))
    for name in weights.__all__:
        assert getattr(weights, name) is not None
        # A module of this name would take the place of the public object as soon as something imports it.
        assert importlib.util.find_spec(f'hrnet_plugins.weights.{name}') is None
    with pytest.raises(AttributeError, match="has no attribute 'resolve'"):
        weights.resolve  # noqa: B018
