"""What is said of a state dict without knowing where it came from."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from hrnet_plugins.models import HRNet
from hrnet_plugins.state_dicts import check_against, is_counter, shape_problems
from hrnet_plugins.weights import convert
from tests.helpers import frameworks
from tests.helpers.processes import environment
from tests.helpers.published import stored


def test_needs_torch_only():
    code = (
        'import sys\n'
        'import hrnet_plugins.state_dicts\n'
        'own = {name for name in sys.modules if name.startswith("hrnet_plugins.")}\n'
        'print(sorted(own), sorted({"mmengine", "mmcv"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == "['hrnet_plugins.import_hooks', 'hrnet_plugins.state_dicts'] []\n"


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


def test_wrong_width_and_classes():
    state = convert(stored('seg_w18_20'))[0]
    with pytest.raises(ValueError, match='does not fit the EncoderDecoder') as error:
        check_against(state, frameworks.segmentor('w18', 19))
    assert 'classes: expected 19, found 20' in str(error.value)
    assert 'shapes that differ (2): decode_head.conv_seg.weight: expected (19, 270, 1, 1)' in str(error.value)
    with torch.device('meta'):
        wide = HRNet('w32')
    with pytest.raises(ValueError, match='width: expected 32, found 18'):
        check_against({k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}, wide)
    with pytest.raises(ValueError, match=r'unknown keys \(2\): .*\nmissing keys \(1\): backbone\.conv1\.weight'):
        model = frameworks.segmentor('w18', 20)
        odd = {**state, 'a': torch.zeros(1), 'b': torch.zeros(1)}
        odd.pop('backbone.conv1.weight')
        check_against(odd, model)
