"""The backbone's arguments, sizes and errors; equality with upstream is in ``parity``."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn

from hrnet_plugins import ARCHS, HRNetArch, Stage
from hrnet_plugins.models import HRFPN, HRNet
from hrnet_plugins.models.layers import ResidualBlock
from tests.helpers.networks import TINY, assert_equal, extra_of, fill, image

SIZES = [(1, 1), (1, 40), (31, 29), (33, 32), (63, 65), (95, 129), (47, 210)]


def ceil_halves(size: int, times: int) -> int:
    return -(-size // 2**times)


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('upsample', [{}, dict(upsample='bilinear', align_corners=True)], ids=['nearest', 'bilinear'])
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_any_size(size, upsample, batch):
    model = fill(HRNet(TINY, **upsample)).eval()
    x = image((batch, 3, *size))
    feats = model(x)
    for i, feat in enumerate(feats):
        assert feat.shape == (batch, TINY.channels[i], ceil_halves(size[0], i + 2), ceil_halves(size[1], i + 2))
    one = model(x[:1])
    for feat, alone in zip(feats, one):
        assert_equal(feat[:1], alone)


def test_input_is_left_as_it_was():
    x = image((1, 3, 64, 64))
    before = x.clone()
    HRNet(TINY)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize('name', ARCHS)
def test_every_published_arch_runs(name):
    model = HRNet(name).eval()
    assert model.out_channels == ARCHS[name].channels
    with torch.inference_mode():
        assert tuple(f.shape[1] for f in model(image((1, 3, 32, 32)))) == ARCHS[name].channels


def test_arch_by_value_and_by_dictionary_is_one_arch():
    assert HRNet(TINY).arch == HRNet(extra_of(TINY)).arch == TINY
    assert HRNet('w18_small_v1').arch == ARCHS['w18_small_v1']


def test_custom_arch_with_changing_channels_and_bottlenecks():
    arch = HRNetArch(
        (
            Stage(1, (1,), (8,), 'BOTTLENECK'),
            Stage(1, (1, 1), (4, 8), 'BOTTLENECK'),
            Stage(1, (1, 1), (6, 12)),
            Stage(1, (1, 1, 1, 1), (4, 8, 8, 16)),
        )
    )
    assert tuple(f.shape[1] for f in HRNet(arch)(image((1, 3, 65, 65)))) == (4, 8, 8, 16)


@pytest.mark.parametrize('indices', [(0,), (3, 1), (0, 1, 2, 3)])
def test_out_indices(indices):
    full, some = fill(HRNet(TINY)).eval(), fill(HRNet(TINY, out_indices=indices)).eval()
    x = image((1, 3, 64, 64))
    maps = full(x)
    assert some.out_channels == tuple(TINY.channels[i] for i in indices)
    for out, i in zip(some(x), indices, strict=True):
        assert torch.equal(out, maps[i])


def test_single_scale_output_is_the_finest_map():
    full = fill(HRNet(TINY)).eval()
    fine = HRNet(TINY, multiscale_output=False).eval()
    unused = fine.load_state_dict(full.state_dict(), strict=False)
    assert not unused.missing_keys
    assert all(key.startswith('stage4.0.fuse_layers.') for key in unused.unexpected_keys)
    x = image((1, 3, 64, 64))
    (out,) = fine(x)
    assert torch.equal(out, full(x)[0])


@pytest.mark.parametrize('channels', [1, 4])
def test_in_channels(channels):
    model = HRNet(TINY, in_channels=channels).eval()
    assert model(image((1, channels, 32, 32)))[0].shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ('norm_cfg', 'cls', 'name'),
    [
        (None, nn.BatchNorm2d, 'bn1'),
        (dict(type='SyncBN'), nn.SyncBatchNorm, 'bn1'),
        (dict(type='GN', num_groups=2), nn.GroupNorm, 'gn1'),
        (dict(type='BN', momentum=0.01, requires_grad=False), nn.BatchNorm2d, 'bn1'),
    ],
    ids=['default', 'SyncBN', 'GN', 'frozen BN'],
)
def test_norm_reaches_every_stage(norm_cfg, cls, name):
    model = HRNet(TINY, norm_cfg=norm_cfg)
    expected = len([m for m in model.modules() if isinstance(m, nn.Conv2d)])
    norms = [m for m in model.modules() if isinstance(m, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm))]
    assert len(norms) == expected
    assert all(isinstance(norm, cls) for norm in norms)
    assert f'layer1.0.{name}.weight' in model.state_dict()
    if norm_cfg and 'momentum' in norm_cfg:
        assert all(norm.momentum == 0.01 and not norm.weight.requires_grad for norm in norms)
    assert model.eval()(image((2, 3, 32, 32)))[0].shape == (2, 4, 8, 8)


FROZEN = ['conv1 bn1 conv2 bn2', 'layer1 transition1', 'stage2 transition2', 'stage3 transition3', 'stage4']


@pytest.mark.parametrize('stages', range(-1, 5))
def test_frozen_stages(stages):
    model = HRNet(TINY, frozen_stages=stages).train()
    frozen = {name for names in FROZEN[: stages + 1] for name in names.split()}
    for name, child in model.named_children():
        assert all(p.requires_grad != (name in frozen) for p in child.parameters()), name
        assert all(m.training != (name in frozen) for m in child.modules()), name
    before = copy.deepcopy(model.state_dict())
    if stages < 4:
        sum(f.square().sum() for f in model(image((2, 3, 64, 64)))).backward()
    for name, value in model.state_dict().items():
        same = name.split('.')[0] in frozen
        if 'running_mean' in name and stages < 4:
            assert torch.equal(value, before[name]) == same, name


def test_norm_eval_keeps_statistics_and_learns_affine():
    model = fill(HRNet(TINY, norm_eval=True)).train()
    before = copy.deepcopy(model.state_dict())
    sum(f.square().sum() for f in model(image((2, 3, 64, 64)))).backward()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.layer1[0].bn1.weight.grad.abs().sum() > 0
    assert model.training


def test_norm_eval_without_weights_warns_before_the_first_step():
    model = HRNet(TINY, norm_eval=True)
    with pytest.warns(UserWarning, match=r'`norm_eval` \(True\).*NaN.*init_cfg.*norm_eval=False'):
        model.train()
    fill(model)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model.train()
        HRNet(TINY, norm_eval=False).train()
        HRNet(TINY, norm_eval=True, norm_cfg=dict(type='GN', num_groups=2)).train()


@pytest.mark.parametrize('norm_eval', [False, True])
def test_checkpointing_gives_the_same_gradients(norm_eval):
    x = image((2, 3, 64, 64))
    grads = []
    for with_cp in (False, True):
        model = fill(HRNet(TINY, with_cp=with_cp, norm_eval=norm_eval)).train()
        sum(f.square().sum() for f in model(x)).backward()
        grads.append({name: p.grad for name, p in model.named_parameters()})
    for name, grad in grads[0].items():
        assert torch.allclose(grads[1][name], grad, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize('name', ['bn', 'gn'])
def test_zero_init_residual_reaches_every_block(name):
    norm_cfg = dict(type='GN', num_groups=2) if name == 'gn' else None
    for zero in (False, True):
        model = HRNet(TINY, zero_init_residual=zero, norm_cfg=norm_cfg)
        model.init_weights()
        blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
        assert len(blocks) == 1 + 2 + 3 * 2 + 4
        assert all((block.last_norm.weight == (0 if zero else 1)).all() for block in blocks)


def test_zero_init_residual_leaves_pretrained_weights(tmp_path):
    path = tmp_path / 'weights.pth'
    source = fill(HRNet(TINY))
    torch.save(source.state_dict(), path)
    model = HRNet(TINY, zero_init_residual=True, init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    model.init_weights()
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in model.state_dict().items())


def test_mode_switches_return_the_model_and_it_copies():
    model = HRNet(TINY)
    assert model.eval() is model
    assert model.train() is model
    x = image((1, 3, 32, 32))
    pickled = pickle.loads(pickle.dumps(model))  # noqa: S301, made in the same line
    for twin in (copy.deepcopy(model), pickled):
        assert torch.equal(twin.eval()(x)[0], model.eval()(x)[0])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='w17'), r"`arch` \('w17'\)"),
        (dict(frozen_stages=5), r'`frozen_stages` \(5\) must be -1 .* 4'),
        (dict(frozen_stages=-2), r'`frozen_stages` \(-2\)'),
        (dict(upsample='cubic'), r"`upsample` \('cubic'\) must be 'nearest' or 'bilinear'"),
        (dict(upsample_by='scale'), r"`upsample_by` \('scale'\) must be 'size' or 'factor'"),
        (dict(align_corners=True), r"`align_corners` \(True\) has no meaning for upsample='nearest'"),
        (dict(out_indices=(4,)), r'`out_indices` \(\(4,\)\) must name branches 0 to 3'),
        (dict(out_indices=()), r'`out_indices` \(\(\)\)'),
        (dict(out_indices=(1,), multiscale_output=False), r'`out_indices` .* 0 to 0'),
    ],
)
def test_refused_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        HRNet(**{'arch': TINY, **options})


def test_an_architecture_has_one_argument():
    with pytest.raises(TypeError, match='extra'):
        HRNet('w32', extra=extra_of(TINY))


@pytest.mark.parametrize('shape', [(3, 64, 64), (1, 4, 64, 64), (1, 3, 0, 64), (1, 3, 64, 0)], ids=str)
def test_refused_inputs(shape):
    with pytest.raises(ValueError, match=r'`x` \(.*must be \(B, 3, H, W\) with H, W >= 1 pixel'):
        HRNet(TINY)(torch.zeros(shape))


@pytest.mark.parametrize('options', [{}, dict(norm_eval=True), dict(with_cp='norm'), dict(frozen_stages=1)])
def test_sizes_and_gradients_without_values(options):
    """On torch's meta device, as tools count arithmetic and memory."""
    with torch.device('meta'):
        model = nn.Sequential(HRNet(TINY, **options), HRFPN(TINY.channels, out_channels=8)).train()
        outs = model(torch.empty(1, 3, 65, 97))
        assert [tuple(out.shape[2:]) for out in outs] == [(17, 25), (8, 12), (4, 6), (2, 3), (1, 1)]
        sum(out.sum() for out in outs).backward()
