"""Somebody else's config: our backbone by name, and our backbone behind upstream's name."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from hrnet_plugins.recipes import framework_tool
from tests.helpers.networks import TINY, assert_equal, extra_of, fill, image
from tests.helpers.processes import environment
from tests.helpers.upstream import given_back

MMDET_CONFIGS = framework_tool('mmdet', 'test').parents[1] / 'configs' / 'hrnet'

CONFIGS = {
    'mmdet': 'hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py',
    'mmseg': 'hrnet/fcn_hr18_4xb2-40k_cityscapes-512x1024.py',
    'mmpretrain': 'hrnet/hrnet-w18_4xb32_in1k.py',
}


@pytest.fixture(autouse=True)
def _upstreams_names_given_back():
    """Importing the drop-in puts our classes behind upstream's names, which other tests in this process ask for."""
    with given_back():
        yield
    sys.modules.pop('hrnet_plugins.dropin', None)  # the next import registers again


SCRIPT = """
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import import_modules_from_strings
from tests.helpers.networks import fill, image
cfg = Config.fromfile({config!r})
cfg.custom_imports = dict(imports=['hrnet_plugins.dropin'])
init_default_scope({framework!r})
cfg.model.backbone.init_cfg = None
for dropin in (False, True):
    if dropin:
        import_modules_from_strings(**cfg.custom_imports)
    backbone = fill(MODELS.build(cfg.model.backbone))
    backbone.eval()
    outs = list(backbone(image((1, 3, 64, 96))))
    if {framework!r} != 'mmseg':
        neck = cfg.model.neck if {framework!r} == 'mmdet' else cfg.model.neck[0]
        neck = fill(MODELS.build(neck)).eval()
        outs += neck(tuple(outs))
        assert type(neck).__module__.startswith('hrnet_plugins') == dropin
    assert type(backbone).__module__.startswith('hrnet_plugins') == dropin
    torch.save([out.detach() for out in outs], f'{folder}/{{dropin}}.pth')
"""


@pytest.mark.parametrize('framework', CONFIGS)
def test_shipped_config_with_nothing_but_the_import(framework, tmp_path):
    config = framework_tool(framework, 'test').parents[1] / 'configs' / CONFIGS[framework]
    script = SCRIPT.format(config=str(config), framework=framework, folder=tmp_path)
    command = [sys.executable, '-W', 'ignore', '-c', script]
    subprocess.run(command, check=True, env=environment(), capture_output=True, timeout=300)
    for ours, theirs in zip(torch.load(tmp_path / 'True.pth'), torch.load(tmp_path / 'False.pth'), strict=True):
        assert_equal(ours, theirs)


def test_shipped_config_with_the_type_changed():
    from mmdet.registry import MODELS  # noqa: PLC0415

    cfg = Config.fromfile(MMDET_CONFIGS / 'faster-rcnn_hrnetv2p-w32-1x_coco.py').model.backbone
    cfg.init_cfg = None
    init_default_scope('mmdet')
    theirs = fill(MODELS.build(cfg))
    theirs.eval()
    cfg.type = 'hrnet_plugins.HRNet'
    cfg.arch = cfg.pop('extra')
    ours = fill(MODELS.build(cfg)).eval()
    assert type(ours).__module__ == 'hrnet_plugins.models.hrnet'
    x = image((1, 3, 64, 64))
    for a, b in zip(ours(x), theirs(x), strict=True):
        assert_equal(a, b)


def test_defaults_are_each_frameworks():
    from hrnet_plugins import dropin  # noqa: PLC0415

    extra = extra_of(TINY)
    built = [cls(extra=extra) for cls in (dropin.MMDetHRNet, dropin.MMSegHRNet, dropin.MMPretrainHRNet)]
    assert [model.norm_eval for model in built] == [True, False, False]
    assert [model.stage2[0].upsample for model in built] == ['nearest', 'bilinear', 'nearest']
    assert dropin.MMDetHRNet(extra, pretrained='a.pth').init_cfg == dict(type='Pretrained', checkpoint='a.pth')
    with pytest.raises(ValueError, match=r'`pretrained` .* and `init_cfg` .* exclude each other'):
        dropin.MMDetHRNet(extra, pretrained='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth'))
    with pytest.warns(UserWarning, match=r'`norm_cfg` .* is not used'):
        assert not hasattr(dropin.MMDetHRFPN([4, 8], 8, norm_cfg=dict(type='BN')).reduction_conv, 'bn')


def test_fusion_starts_as_mmpretrains():
    from mmpretrain.models import HRFuseScales  # noqa: PLC0415

    from hrnet_plugins import dropin  # noqa: PLC0415

    weights = []
    for cls in (HRFuseScales, dropin.MMPretrainHRFuseScales):
        torch.manual_seed(0)
        neck = cls((4, 8, 16, 32), out_channels=24)
        neck.init_weights()
        weights.append(neck.state_dict())
    assert list(weights[0]) == list(weights[1])
    for key, theirs in weights[0].items():
        assert torch.equal(weights[1][key], theirs), key


def test_a_framework_that_does_not_import_is_left_alone(monkeypatch):
    from hrnet_plugins import dropin  # noqa: PLC0415

    real = dropin.importlib.import_module

    def broken(name):
        if name == 'mmseg.models':
            raise AssertionError('MMCV is too new')
        return real(name)

    monkeypatch.setattr(dropin.importlib, 'import_module', broken)
    with pytest.warns(UserWarning, match=r'mmseg is installed but does not import.*MMCV is too new'):
        assert dropin.register() == ('mmdet', 'mmpretrain')
