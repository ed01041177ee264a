"""The drop-in against the framework it stands in for: arguments, attributes, start, and numbers at every size."""

import inspect
import warnings

import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from hrnet_plugins import ARCHS, dropin
from hrnet_plugins.models import HRNet
from tests.helpers.networks import TINY, assert_equal, extra_of, fill, image
from tests.helpers.upstream import given_back, upstream

PAIRS = [(framework, name) for framework, classes in dropin._REPLACEMENTS.items() for name in classes]
HRNETS = [framework for framework, name in PAIRS if name == 'HRNet']
SIZES = [(29, 30), (31, 32), (33, 33), (1, 1), (2, 67), (65, 97), (125, 94)]
EXTRA = extra_of(TINY)
GN = dict(type='GN', num_groups=2)


@pytest.fixture(autouse=True)
def _names():
    with given_back():
        yield


def ours(framework, name='HRNet'):
    return dropin._REPLACEMENTS[framework][name]


def pair(framework, name='HRNet', **options):
    """Upstream's module and the drop-in's, with the same weights."""
    options = dict(extra=EXTRA, **options) if name == 'HRNet' else options
    theirs, mine = (cls(**options) for cls in (upstream(framework, name), ours(framework, name)))
    fill(theirs)
    mine.load_state_dict(theirs.state_dict())
    for module in (theirs, mine):
        module.eval()
    return theirs, mine


def learning(value):
    """A norm's config as it is without the words that change nothing: norms learn unless told otherwise."""
    cfg = dict(value) if isinstance(value, dict) else value
    if isinstance(cfg, dict) and cfg.get('requires_grad'):
        del cfg['requires_grad']
    return cfg


@pytest.mark.parametrize(('framework', 'name'), PAIRS)
def test_arguments_have_upstreams_names_places_and_defaults(framework, name):
    theirs, mine = (
        list(inspect.signature(cls).parameters.values()) for cls in (upstream(framework, name), ours(framework, name))
    )
    added = mine[len(theirs) :]  # how to train with less memory; they have no place, so nobody's config meets them
    assert all(
        p.kind == p.KEYWORD_ONLY and p.name in ('efficient_conv_bn_eval', 'channels_last', 'with_cp') for p in added
    )
    mine = mine[: len(theirs)]
    assert [(p.name, p.kind) for p in mine] == [(p.name, p.kind) for p in theirs]
    for a, b in zip(mine, theirs):
        assert learning(a.default) == learning(b.default), a.name


NOT_OURS = {'pooling'}
"""Upstream's HRFPN has a function there, ours the name of one."""


@pytest.mark.parametrize(('framework', 'name'), PAIRS)
def test_public_attributes_are_there(framework, name):
    options = dict(extra=EXTRA) if name == 'HRNet' else dict(in_channels=[4, 8, 16, 32], out_channels=16)
    theirs, mine = (cls(**options) for cls in (upstream(framework, name), ours(framework, name)))
    base = set(vars(BaseModule()))
    for key, value in vars(theirs).items():
        if key in base or key.startswith('_') or key in NOT_OURS:
            continue
        expected = tuple(value) if key == 'in_channels' else value
        assert learning(getattr(mine, key)) == learning(expected), key
    for cls in (type(theirs), type(theirs).__mro__[1]):
        public = {key for key in vars(cls) if not key.startswith('_')} - {'forward', 'train', 'parse_arch'}
        assert all(hasattr(mine, key) for key in public), public
    assert not hasattr(theirs, 'arch_zoo') or mine.arch_zoo.keys() == theirs.arch_zoo.keys()


@pytest.mark.parametrize('framework', HRNETS)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_every_size_that_upstream_takes_gives_its_numbers(framework, size):
    theirs, mine = pair(framework)
    x = image((2, 3, *size))
    outs = mine(x)
    assert all(out.isfinite().all() for out in outs)
    try:
        expected = theirs(x)
    except RuntimeError as error:  # nearest upsampling by the factor gives another size there
        assert framework != 'mmseg'
        assert 'size of tensor' in str(error) or 'shape' in str(error)
        assert not all(side % 32 in (0, 29, 30, 31) for side in size)
        return
    for out, other in zip(outs, expected, strict=True):
        assert_equal(out, other)


@pytest.mark.parametrize('size', [(33, 33), (65, 97)], ids=str)
def test_our_own_way_of_resizing_differs_from_mmsegs(size):
    theirs, _ = pair('mmseg')
    results = []
    for upsample_by in ('size', 'factor'):
        model = HRNet(TINY, upsample='bilinear', align_corners=False, upsample_by=upsample_by).eval()
        model.load_state_dict(theirs.state_dict())
        results.append(model(image((1, 3, *size)))[0])
    once, twice = results
    assert_equal(twice, theirs(image((1, 3, *size)))[0])
    assert (once - twice).abs().max() > 1e-3 * twice.abs().max()


CONFIGS = {
    'GN': dict(norm_cfg=GN),
    'ConvWS': dict(conv_cfg=dict(type='ConvWS')),
    'both': dict(norm_cfg=GN, conv_cfg=dict(type='ConvWS')),
    'frozen': dict(norm_cfg=dict(type='BN', requires_grad=False, momentum=0.03)),
    'one map': dict(multiscale_output=False),
}


@pytest.mark.parametrize('config', CONFIGS)
@pytest.mark.parametrize('framework', HRNETS)
def test_layers_are_of_upstreams_kinds(framework, config):
    theirs, mine = pair(framework, **CONFIGS[config])
    assert list(mine.state_dict()) == list(theirs.state_dict())
    kinds = [
        [(type(m), getattr(m, 'momentum', None)) for m in module.modules() if list(m.parameters(recurse=False))]
        for module in (mine, theirs)
    ]
    assert kinds[0] == kinds[1]
    assert [p.requires_grad for p in mine.parameters()] == [p.requires_grad for p in theirs.parameters()]
    x = image((1, 3, 64, 64))
    for out, other in zip(mine(x), theirs(x), strict=True):
        assert_equal(out, other)


def test_our_own_class_gives_layer1_what_the_config_says():
    own, mine = HRNet(TINY, norm_cfg=GN), dropin.MMPretrainHRNet(extra=EXTRA, norm_cfg=GN)
    assert isinstance(own.layer1[0].norm1, nn.GroupNorm)
    assert isinstance(mine.layer1[0].norm1, nn.BatchNorm2d)


STARTS = {
    'as it is': {},
    'none': dict(init_cfg=None),
    'empty': dict(init_cfg=[]),
    'given': dict(init_cfg=dict(type='Constant', val=2, layer='BatchNorm2d')),
    'zero': dict(zero_init_residual=True),
}


@pytest.mark.filterwarnings('ignore:`zero_init_residual`:UserWarning')
@pytest.mark.parametrize('start', STARTS)
@pytest.mark.parametrize('framework', HRNETS)
def test_the_same_seed_starts_with_the_same_weights(framework, start):
    states = []
    for cls in (upstream(framework), ours(framework)):
        torch.manual_seed(0)
        model = cls(extra=EXTRA, **STARTS[start])
        model.init_weights()
        states.append(model.state_dict())
    assert list(states[0]) == list(states[1])
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value), key


@pytest.mark.parametrize('framework', HRNETS)
def test_zero_init_residual_is_said_to_have_no_effect(framework):
    with pytest.warns(UserWarning, match=r'`zero_init_residual` \(True\) has no effect .*hrnet_plugins.HRNet'):
        ours(framework)(extra=EXTRA, zero_init_residual=True)


@pytest.mark.parametrize('start', ['as it is', 'none'])
@pytest.mark.parametrize('options', [{}, dict(stride=3), dict(pooling_type='MAX', stride=4, num_outs=3)], ids=str)
def test_hrfpn_is_mmdets(options, start):
    options = dict(in_channels=[4, 8, 16, 32], out_channels=8, **options, **STARTS[start])
    modules = []
    for cls in (upstream('mmdet', 'HRFPN'), dropin.MMDetHRFPN):
        torch.manual_seed(0)
        modules.append(cls(**options))
        modules[-1].init_weights()
    theirs, mine = modules
    feats = [image((1, c, 32 >> i, 48 >> i), seed=i) for i, c in enumerate(options['in_channels'])]
    for out, other in zip(mine(feats), theirs(feats), strict=True):
        assert_equal(out, other)


@pytest.mark.parametrize('norm_cfg', [dict(type='GN', num_groups=4), dict(type='BN', momentum=0.03)], ids=str)
def test_hrfusescales_is_mmpretrains(norm_cfg):
    theirs, mine = pair('mmpretrain', 'HRFuseScales', in_channels=(4, 8, 16, 32), out_channels=16, norm_cfg=norm_cfg)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    feats = tuple(image((1, c, 33 >> i, 40 >> i), seed=i) for i, c in enumerate((4, 8, 16, 32)))
    feats = HRNet(TINY).eval()(image((1, 3, 65, 97)))
    assert_equal(mine(feats)[0], theirs(feats)[0])


WILD = {
    'of a stage': lambda extra: extra['stage2'].update(fuse_method='SUM'),
    'of all': lambda extra: extra.update(final_conv_kernel=1),
    'more': lambda extra: [
        extra['stage4'].update(fuse_method='SUM', scale_output=True),
        extra.update(upsample={}),
    ],
}
NAMED = {
    'of a stage': 'stage2.fuse_method',
    'of all': 'final_conv_kernel',
    'more': 'upsample, stage4.fuse_method, stage4.scale_output',
}


@pytest.mark.parametrize('what', WILD)
@pytest.mark.parametrize('framework', HRNETS)
def test_keys_that_nobody_reads_are_named_once(framework, what):
    extra = extra_of(TINY)
    WILD[what](extra)
    with pytest.warns(UserWarning) as caught:
        model = ours(framework)(extra=extra)
    (warning,) = caught
    assert f'`extra` has {NAMED[what]}, which no HRNet reads' in str(warning.message)
    assert warning.filename == __file__
    assert model.arch == TINY
    assert model.extra == extra
    assert upstream(framework)(extra=extra).state_dict().keys() == model.state_dict().keys()
    with pytest.raises(ValueError, match='exactly the keys'):
        HRNet(extra)


@pytest.mark.parametrize('framework', HRNETS)
def test_one_place_after_another(framework):
    values = [EXTRA, 4, None, GN, True, True]
    values = ['w18', *values] if framework == 'mmpretrain' else values
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        theirs, mine = (cls(*values) for cls in (upstream(framework), ours(framework)))
    assert mine.state_dict().keys() == theirs.state_dict().keys()
    assert (mine.in_channels, mine.norm_eval, mine.with_cp) == (4, True, True)


def test_every_published_width_of_mmpretrain():
    assert dropin.MMPretrainHRNet.arch_zoo.keys() == {name for name in ARCHS if '_' not in name}
    assert dropin.MMPretrainHRNet('w18').extra['stage2']['num_channels'] == (18, 36)
