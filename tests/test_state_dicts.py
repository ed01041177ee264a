"""What is said of a state dict without knowing where it came from."""

import subprocess
import sys

import torch
from torch import nn

from hrnet_plugins.state_dicts import check_against, is_counter, shape_problems
from tests.helpers.processes import environment


def test_needs_torch_only():
    code = (
        'import sys\n'
        'import hrnet_plugins.state_dicts\n'
        'own = {name for name in sys.modules if name.startswith("hrnet_plugins.")}\n'
        'print(sorted(own), sorted({"mmengine", "mmcv"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "['hrnet_plugins.archs', 'hrnet_plugins.state_dicts'] []\n"


def test_counters_may_be_absent_and_nothing_else():
    norm = nn.BatchNorm2d(3)
    state = dict(norm.state_dict())
    assert [key for key in state if is_counter(key)] == ['num_batches_tracked']
    del state['num_batches_tracked']
    check_against(state, norm)


def test_shapes_are_named_as_asked():
    found, expected = {'a': torch.zeros(2), 'b': torch.zeros(1)}, {'a': torch.zeros(2, 3), 'c': torch.zeros(1)}
    assert shape_problems(found, expected, str.upper) == ['A: expected (2, 3), found (2)']
    assert shape_problems(expected, expected) == []
