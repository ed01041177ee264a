"""The recipes' own classifiers: the official network's outputs, timm's, and features for others."""

import pytest
import timm
import torch
from mmengine.registry import MODELS, DefaultScope

from hrnet_plugins.recipes import model_of, recipes
from hrnet_plugins.weights import check_against, convert
from tests.helpers.configs import config_of
from tests.helpers.networks import assert_equal, fill, filled, image, reference


def loaded(recipe, state, source=None):
    model = model_of(recipes()[recipe]).eval()
    converted, _ = convert(state, source)
    check_against(converted, model)
    model.load_state_dict(converted, strict=True)
    return model


@pytest.mark.parametrize(
    ('recipe', 'name'),
    [('hrnet-w18_100e_in1k', 'cls_w18'), ('hrnet-w18-small-v1_100e_in1k', 'cls_w18_small_v1')],
)
def test_recipe_gives_the_official_logits(recipe, name):
    case, expected = reference(name)
    model = loaded(recipe, filled(dict(case['keys'])))
    with torch.inference_mode():
        assert_equal(model(image(tuple(case['input'])), mode='tensor'), expected['logits'])


TIMM = {
    'hrnet-w18-small-v1_100e_in1k': 'hrnet_w18_small',
    'hrnet-w18-small-v2_100e_in1k': 'hrnet_w18_small_v2',
    'hrnet-w18_100e_in1k': 'hrnet_w18',
    'hrnet-w30_100e_in1k': 'hrnet_w30',
    'hrnet-w18-cutmix_300e_in1k': 'hrnet_w18',
    'hrnet-w18-ssld_30e_in1k': 'hrnet_w18_ssld',
}
SLOW_TIMM = {
    'hrnet-w48_100e_in1k': 'hrnet_w48',
    'hrnet-w48-ssld_30e_in1k': 'hrnet_w48_ssld',
}
ALIKE = {
    **{f'hrnet-w{width}_100e_in1k': f'hrnet_w{width}' for width in (32, 40, 44, 64)},
    'hrnet-w48-cutmix_300e_in1k': 'hrnet_w48',
}
"""Recipes that differ from others here in widths or in training alone, so that equal names and shapes are enough."""


def test_every_recipe_is_compared_with_timms():
    assert {**TIMM, **SLOW_TIMM, **ALIKE}.keys() == {name for name in recipes() if name.endswith('_in1k')}


@pytest.mark.parametrize(
    ('recipe', 'name'), [*TIMM.items(), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in SLOW_TIMM.items())]
)
def test_recipe_gives_timms_logits(recipe, name):
    theirs = fill(timm.create_model(name, pretrained=False)).eval()
    ours = loaded(recipe, theirs.state_dict(), None if 'ssld' in name else 'timm')
    x = image((1, 3, 64, 96))
    with torch.inference_mode():
        assert_equal(ours(x, mode='tensor'), theirs(x))


@pytest.mark.parametrize(('recipe', 'name'), ALIKE.items())
def test_recipe_has_timms_parameters(recipe, name):
    with torch.device('meta'):
        theirs, ours = timm.create_model(name, pretrained=False), model_of(recipes()[recipe])
    converted, _ = convert(theirs.state_dict(), 'timm')
    check_against(converted, ours)
    assert {k: v.shape for k, v in converted.items()} == {k: v.shape for k, v in ours.state_dict().items()}


def test_features_for_others():
    model = fill(model_of(recipes()['hrnet-w18-small-v1_100e_in1k'])).eval()
    x = image((2, 3, 96, 64))
    with torch.inference_mode():
        maps = model.extract_feat(x, stage='backbone')
        assert [tuple(m.shape) for m in maps] == [(2, 16 << i, 24 >> i, 16 >> i) for i in range(4)]
        (pooled,) = model.extract_feat(x)
        assert pooled.shape == (2, 2048)
        assert_equal(model.neck[0](maps)[0].mean((2, 3)), pooled)
        assert torch.equal(model.extract_feat(x, stage='pre_logits'), pooled)
        assert_equal(model.head.fc(pooled), model(x, mode='tensor'))


def test_fewer_maps_by_out_indices():
    cfg = config_of(recipes()['hrnet-w18-small-v1_100e_in1k']).model
    cfg.backbone.out_indices = (2, 3)
    cfg.neck[0].update(in_channels=[64, 128], mid_channels=[512, 1024])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = fill(MODELS.build(cfg)).eval()
    with torch.inference_mode():
        maps = model.extract_feat(image((1, 3, 64, 64)), stage='backbone')
        assert [m.shape[1:] for m in maps] == [(64, 4, 4), (128, 2, 2)]
        assert model(image((1, 3, 64, 64)), mode='tensor').shape == (1, 1000)
