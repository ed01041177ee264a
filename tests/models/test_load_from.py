"""mmengine loads a whole model's file, and the backbone in it arrives or is an error."""

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from hrnet_plugins.models import HRNet
from hrnet_plugins.models.pretrained import adapt_input_channels
from tests.helpers.networks import TINY, fill


class Model(nn.Module):
    """A backbone and something else."""

    def __init__(self, arch=TINY, name='backbone', **options):
        super().__init__()
        self.add_module(name, HRNet(arch, **options))
        self.head = nn.Conv2d(4, 2, 1)


def own():
    return fill(HRNet(TINY)).state_dict()


def write(folder, state):
    path = folder / 'weights.pth'
    torch.save(dict(state_dict=state, meta={}), path)
    return str(path)


def assert_arrived(module):
    expected = own()
    assert all(torch.equal(value, expected[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize('name', ['backbone', 'net'])
@pytest.mark.parametrize('prefix', ['', 'backbone.', 'model.backbone.', 'student.net.', 'module.backbone.'])
def test_the_prefix_is_found(prefix, name, tmp_path):
    model = Model(name=name)
    head = {'head.weight': torch.ones(2, 4, 1, 1), 'head.bias': torch.zeros(2)}
    load_checkpoint(model, write(tmp_path, {**{prefix + key: value for key, value in own().items()}, **head}))
    assert_arrived(getattr(model, name))
    assert (model.head.weight == 1).all()


def test_a_backbone_alone_takes_it_out_of_a_model(tmp_path):
    backbone = HRNet(TINY)
    load_checkpoint(backbone, write(tmp_path, {f'backbone.{key}': value for key, value in own().items()}))
    assert_arrived(backbone)


@pytest.mark.parametrize('channels', [1, 4])
def test_the_stem_is_adapted(channels, tmp_path):
    model = Model(in_channels=channels)
    load_checkpoint(model, write(tmp_path, own()))
    assert torch.equal(model.backbone.conv1.weight, adapt_input_channels(own()['conv1.weight'], channels))
    assert torch.equal(model.backbone.bn1.weight, own()['bn1.weight'])


REFUSED = {
    'another width': (
        lambda: HRNet('w18_small_v1').state_dict(),
        r'% .*`backbone`: it is for another(.|\n)*expected',
    ),
    'another network': (lambda: {'layer1.0.conv1.weight': torch.ones(1), 'fc.weight': torch.ones(1)}, r'0% .*no HRNet'),
    'another backbone': (lambda: {'backbone.patch_embed.weight': torch.ones(1)}, r'0% .*no HRNet'),
    'the first half': (lambda: dict(list(own().items())[:200]), r'\d+% .*: the others are missing'),
}


@pytest.mark.parametrize('what', REFUSED)
def test_a_backbone_that_does_not_arrive_is_an_error(what, tmp_path):
    state, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        load_checkpoint(Model(), write(tmp_path, state()))


def test_a_file_without_a_backbone_is_none_of_its_business(tmp_path):
    model = Model()
    before = model.backbone.conv1.weight.clone()
    load_checkpoint(model, write(tmp_path, {'head.weight': torch.ones(2, 4, 1, 1)}))
    assert (model.head.weight == 1).all()
    assert torch.equal(model.backbone.conv1.weight, before)
