"""Configs name their weights, and a name that does not fit is refused."""

import pytest
import torch
from mmengine.registry import MODELS

from hrnet_plugins.models import HRNet
from tests.helpers.networks import TINY, extra_of, fill


def test_config_says_the_name(named):
    named('good')
    cfg = dict(type='hrnet_plugins.HRNet', arch=extra_of(TINY))
    model = MODELS.build({**cfg, 'init_cfg': dict(type='Pretrained', checkpoint='hrnet://tiny')})
    model.init_weights()
    expected = fill(HRNet(TINY)).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize('prefix', ['backbone', 'backbone.'])
def test_config_says_a_part_of_a_named_model(named, prefix):
    named('good', part='model')
    init_cfg = dict(type='Pretrained', checkpoint='hrnet://tiny', prefix=prefix)
    model = MODELS.build(dict(type='hrnet_plugins.HRNet', arch=extra_of(TINY), init_cfg=init_cfg))
    model.init_weights()
    expected = fill(HRNet(TINY)).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
    with pytest.raises(ValueError, match=r'hrnet://tiny, which is for another architecture'):
        HRNet('w18_small_v1', init_cfg=init_cfg).init_weights()
    with pytest.raises(ValueError, match=r'`prefix` \(neck\) of `init_cfg` begins no entry of hrnet://tiny'):
        HRNet(TINY, init_cfg={**init_cfg, 'prefix': 'neck'}).init_weights()


def test_a_name_of_another_width_is_refused(named):
    named('good')
    model = HRNet('w18_small_v1', init_cfg=dict(type='Pretrained', checkpoint='hrnet://tiny'))
    with pytest.raises(ValueError, match=r'hrnet://tiny, which is for another architecture(.|\n)*expected 16, found 4'):
        model.init_weights()
    named('good')
    single = HRNet(TINY, multiscale_output=False, init_cfg=dict(type='Pretrained', checkpoint='hrnet://tiny'))
    single.init_weights()
