"""What upstream's own tests ask of its classes, asked of ours; what differs on purpose is what the documentation lists.

Those tests are ``test_backbones/test_hrnet.py`` of the three frameworks, ``test_necks.py`` of mmpretrain and
``test_heads/test_ocr_head.py`` of mmseg, which only some of their wheels carry.
"""

import re

import pytest
import torch
from mmseg.models.decode_heads import FCNHead
from torch.nn.modules.batchnorm import _BatchNorm

from hrnet_plugins import ARCHS, Stage, dropin
from hrnet_plugins.models import HRNet
from hrnet_plugins.models.hr_module import HRModule
from hrnet_plugins.models.layers import LayerFactory
from hrnet_plugins.seg.heads import OCRHead
from tests.helpers.networks import TINY, extra_of, fill, image
from tests.helpers.processes import ROOT
from tests.helpers.upstream import given_back, upstream

HRNETS = {framework: classes['HRNet'] for framework, classes in dropin._REPLACEMENTS.items()}
EXTRA = extra_of(TINY)


@pytest.fixture(autouse=True)
def _names():
    with given_back():
        yield


@pytest.mark.parametrize('block', ['BASIC', 'BOTTLENECK'])
@pytest.mark.parametrize('num_outs', [2, 1])
def test_a_module_of_a_stage(block, num_outs):
    stage = Stage(1, (4, 4), (8, 16), block)
    options = dict(num_outs=num_outs, upsample='nearest', align_corners=None, upsample_by='size', with_cp=False)
    module = HRModule(stage, LayerFactory(), **options)
    feats = [image((1, stage.out_channels[0], 16, 16)), image((1, stage.out_channels[1], 8, 8))]
    outs = module(feats)
    assert [out.shape for out in outs] == [feat.shape for feat in feats[:num_outs]]


@pytest.mark.parametrize('framework', HRNETS)
def test_an_extra_has_four_stages_that_agree(framework):
    three = {name: stage for name, stage in EXTRA.items() if name != 'stage4'}
    wrong = {**three, 'stage4': dict(EXTRA['stage4'], num_branches=3)}
    for extra in (three, wrong):
        with pytest.raises(ValueError, match='stage4'):
            HRNETS[framework](extra=extra)
        with pytest.raises(AssertionError):
            upstream(framework)(extra=extra)


@pytest.mark.filterwarnings('ignore:`norm_eval`:UserWarning')
@pytest.mark.parametrize('multiscale_output', [True, False])
@pytest.mark.parametrize('framework', HRNETS)
def test_maps_in_training(framework, multiscale_output):
    model = HRNETS[framework](extra=EXTRA, multiscale_output=multiscale_output)
    fill(model).train()
    outs = model(image((2, 3, 64, 64)))
    expected = [(2, channels, 16 >> i, 16 >> i) for i, channels in enumerate(TINY.channels)]
    assert [tuple(out.shape) for out in outs] == (expected if multiscale_output else expected[:1])


def test_two_frozen_stages():
    model = dropin.MMSegHRNet(EXTRA, frozen_stages=2)
    model.train()
    assert not model.norm1.training
    frozen = [model.conv1, model.norm1, model.layer1, model.transition1, model.stage2, model.transition2]
    for part in frozen:
        assert not any(p.requires_grad for p in part.parameters())
        assert not any(m.training for m in part.modules() if isinstance(m, _BatchNorm))
    assert all(p.requires_grad for p in model.stage3.parameters())


@pytest.mark.parametrize('width', [18, 30, 32, 40, 44, 48, 64])
def test_the_published_widths(width):
    with torch.device('meta'):
        model = dropin.MMPretrainHRNet(f'w{width}').train()
        outs = model(torch.zeros(3, 3, 224, 224))
    assert all(m.training for m in model.modules() if isinstance(m, _BatchNorm))
    assert isinstance(outs, tuple)
    assert [tuple(out.shape) for out in outs] == [(3, width << i, 56 >> i, 56 >> i) for i in range(4)]


def test_any_channels_and_blocks():
    extra = extra_of(ARCHS['w32'])
    extra['stage3'].update(block='BOTTLENECK', num_blocks=(4, 4, 2))
    extra['stage4'].update(num_blocks=(4, 3, 4, 4), num_channels=(32, 64, 152, 256))
    with torch.device('meta'):
        outs = dropin.MMPretrainHRNet(extra=extra)(torch.zeros(3, 3, 224, 224))
    assert [tuple(out.shape) for out in outs] == [(3, c, 56 >> i, 56 >> i) for i, c in enumerate((32, 64, 152, 256))]


def test_one_map_of_all_scales():
    channels = (18, 32, 64, 128)
    feats = tuple(image((3, c, 56 >> i, 56 >> i), seed=i) for i, c in enumerate(channels))
    outs = dropin.MMPretrainHRFuseScales(channels, out_channels=64)(feats)
    assert isinstance(outs, tuple)
    assert [tuple(out.shape) for out in outs] == [(3, 64, 7, 7)]


def test_the_ocr_head_after_another():
    maps = [image((1, 8, 23, 23))]
    first = FCNHead(in_channels=8, channels=4, num_classes=19)
    head = OCRHead(in_channels=[8], channels=4, num_classes=19, ocr_channels=8)
    for module in (first, head):
        module.eval()
    assert head(maps, first(maps)).shape == (1, head.num_classes, 23, 23)


def errors():
    with pytest.raises(ValueError, match='`extra`'):
        dropin.MMDetHRNet({})


def warnings():
    with pytest.warns(UserWarning, match='`extra` has unused'):
        dropin.MMDetHRNet({**EXTRA, 'unused': 1})


def mode_switches():
    model = dropin.MMDetHRNet(EXTRA)
    assert model.eval() is model
    assert upstream('mmdet')(EXTRA).eval() is None


def output():
    x = image((1, 3, 32, 32))
    for framework, kind in (('mmdet', list), ('mmseg', list), ('mmpretrain', tuple)):
        theirs, ours = upstream(framework)(extra=EXTRA), HRNETS[framework](extra=EXTRA)
        theirs.eval()
        assert type(theirs(x)) is kind
        assert type(ours.eval()(x)) is tuple


def inputs():
    for module in (dropin.MMDetHRNet(EXTRA).eval().stage2[0], upstream('mmdet')(EXTRA).stage2[0]):
        feats = [image((1, 4, 8, 8)), image((1, 8, 4, 4))]
        given = list(feats)
        module(feats)
        assert all(a is b for a, b in zip(feats, given)) == isinstance(module, HRModule)


def sizes():
    theirs, ours = upstream('mmdet')(EXTRA), dropin.MMDetHRNet(EXTRA).eval()
    theirs.eval()
    ours(image((1, 3, 33, 33)))
    with pytest.raises(RuntimeError):
        theirs(image((1, 3, 33, 33)))


def pretrained_weights(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'conv1.weight': torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(ValueError, match='has 1 of the'):
        dropin.MMDetHRNet(EXTRA, init_cfg=dict(type='Pretrained', checkpoint=str(path))).init_weights()


def no_weights():
    with pytest.warns(UserWarning, match='norm_eval'):
        dropin.MMDetHRNet(EXTRA).train()


def attributes_of_hrfpn():
    theirs, ours = (cls([4, 8], 8) for cls in (upstream('mmdet', 'HRFPN'), dropin.MMDetHRFPN))
    assert (theirs.pooling.__name__, ours.pooling) == ('avg_pool2d', 'avg')
    assert (theirs.in_channels, ours.in_channels) == ([4, 8], (4, 8))


def hrmodule():
    assert not any('HRModule' in classes for classes in dropin._REPLACEMENTS.values())
    assert isinstance(HRNet(TINY).stage2[0], HRModule)


def ocr_head():
    with pytest.raises(ValueError, match='`in_channels`'):
        OCRHead(in_channels=8, num_classes=19)


DIFFERENCES = {
    'errors': errors,
    'warnings': warnings,
    'mode switches': mode_switches,
    'output': output,
    'inputs': inputs,
    'sizes': sizes,
    'pretrained weights': pretrained_weights,
    'no weights': no_weights,
    'attributes of HRFPN': attributes_of_hrfpn,
    'HRModule': hrmodule,
    'OCR head': ocr_head,
}
"""Every difference that the documentation lists, and what shows that it is so."""


@pytest.mark.parametrize('name', DIFFERENCES)
def test_what_differs_is_so(name, tmp_path):
    DIFFERENCES[name](*([tmp_path] if name == 'pretrained weights' else []))


def test_the_documentation_lists_what_differs():
    text = (ROOT / 'docs' / 'drop-in.md').read_text()
    rows = text[text.index('| difference |') :].splitlines()[2:]
    assert [re.match(r'\| ([^|]+) \|', row)[1] for row in rows] == list(DIFFERENCES)
