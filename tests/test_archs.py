"""The architecture table, and what is refused."""

import subprocess
import sys

import pytest

from hrnet_plugins import ARCHS, HRNetArch, Stage
from tests.helpers.networks import TINY, extra_of

EXTRA = extra_of(TINY)


@pytest.mark.parametrize('name', [name for name in ARCHS if 'small' not in name])
def test_widths_double(name):
    width = int(name[1:])
    assert ARCHS[name].channels == (width, 2 * width, 4 * width, 8 * width)
    assert [stage.modules for stage in ARCHS[name].stages] == [1, 1, 4, 3]


@pytest.mark.parametrize('name', ARCHS)
def test_extra_round_trip(name):
    assert HRNetArch.from_extra(extra_of(ARCHS[name])) == ARCHS[name]
    assert HRNetArch.of(name) is ARCHS[name]


def test_extra_of_a_config_with_lists():
    extra = {name: {**cfg, 'num_channels': list(cfg['num_channels'])} for name, cfg in EXTRA.items()}
    assert HRNetArch.of(extra) == TINY


def test_values_are_frozen():
    with pytest.raises(AttributeError):
        ARCHS['w18'].stages = ()
    with pytest.raises(TypeError):
        ARCHS['w19'] = TINY


@pytest.mark.parametrize(
    ('arch', 'message'),
    [
        ('w16', r"`arch` \('w16'\) is unknown; known: w18_small_v1, .*HRNetArch"),
        (18, r'`arch` \(18\) is unknown'),
        ({}, r'`extra` \(\[\]\) must be a dict with exactly the keys stage1, stage2, stage3, stage4'),
        ({**EXTRA, 'stage5': {}}, 'exactly the keys stage1'),
        ({**EXTRA, 'stage2': 3}, r"`extra\['stage2'\]` \(3\) must be a dict with exactly the keys num_modules"),
        (
            {**EXTRA, 'stage2': {**EXTRA['stage2'], 'num_blocks': (1,)}},
            r"'num_blocks'\]` \(\(1,\)\) must have .*2\) entries",
        ),
        ({**EXTRA, 'stage3': {**EXTRA['stage3'], 'block': 'BASICS'}}, r"stage3.*`block` \('BASICS'\) is unknown"),
        ({**EXTRA, 'stage3': {**EXTRA['stage3'], 'num_modules': 0}}, r'stage3.*`modules` .*positive integers'),
        ({**EXTRA, 'stage1': EXTRA['stage2']}, r'stage 1 has one branch'),
    ],
)
def test_refusals_name_argument_value_and_fix(arch, message):
    with pytest.raises(ValueError, match=message):
        HRNetArch.of(arch)


def test_stage_lengths_must_agree():
    with pytest.raises(ValueError, match=r'`blocks` .* `channels`'):
        Stage(1, (1, 1), (4,))
    with pytest.raises(ValueError, match='4 stages'):
        HRNetArch(TINY.stages[:3])


def test_importing_the_package_imports_no_torch():
    code = "import sys, hrnet_plugins; assert not {'torch', 'mmengine', 'mmcv'} & set(sys.modules)"
    subprocess.run([sys.executable, '-c', code], check=True)


def test_backbone_and_neck_need_no_framework_and_no_compiled_ops():
    """mmcv-lite has no ``mmcv._ext`` and no ``mmcv.ops``; a finder that refuses them stands in for it."""
    code = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(('mmdet', 'mmseg', 'mmpretrain', 'mmcv._ext', 'mmcv.ops')):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import torch
from mmengine.registry import MODELS
backbone = MODELS.build(dict(type='hrnet_plugins.HRNet', arch='w18_small_v1'))
neck = MODELS.build(dict(type='hrnet_plugins.HRFPN', in_channels=backbone.out_channels))
assert len(neck(backbone(torch.zeros(1, 3, 64, 64)))) == 5
"""
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)
