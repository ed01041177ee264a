"""HRNet-Image-Classification's names, which timm shares."""

import pytest
import timm
import torch

from hrnet_plugins import HRNetArch, Stage
from hrnet_plugins.models import HRFuseScales, HRNet
from hrnet_plugins.models.pretrained import load_backbone
from hrnet_plugins.weights import convert, recognise
from tests.helpers import frameworks
from tests.helpers.networks import assert_equal, fill, filled, image
from tests.helpers.published import CUSTOM, assert_same, names_of


def classifier(arch, mid, num_classes):
    return frameworks.classifier(arch, mid_channels=mid, out_channels=24, num_classes=num_classes)


def test_official_classification_of_any_shape():
    """The official head, as the official code computes it: biases before the norms."""
    mid = tuple(8 * i for i in range(1, 6))
    model = fill(classifier(CUSTOM, mid, 7)).eval()
    official, report = convert(model.state_dict(), target='official-cls')
    assert len(report.added) == 5
    for key in report.added:
        official[key] = image(tuple(official[key].shape), seed=len(key))
    x = image((2, 3, 65, 97))
    neck = model.neck[0]
    for conv, name in (
        *((layer.conv, f'downsamp_modules.{i}.0.bias') for i, layer in enumerate(neck.downsample_layers)),
        (neck.final_layer.conv, 'final_layer.0.bias'),
    ):
        conv.bias = torch.nn.Parameter(official[name])
    ours = classifier(CUSTOM, mid, 7)
    converted, report = convert(official)
    assert len(report.folded) == 5
    ours.load_state_dict(converted)
    with torch.inference_mode():
        assert_equal(ours(x, mode='tensor'), model(x, mode='tensor'))


@pytest.mark.parametrize('width', [16, 128])
def test_heads_keep_the_shortcut_where_channels_are_equal(width):
    """A branch that has the head's channels already has no ``downsample``."""
    wide = _one_block(width)
    names = {f'backbone.{k}': v for k, v in names_of(HRNet(wide)).items()}
    names |= {f'neck.0.{k}': v for k, v in names_of(HRFuseScales(wide.channels, 8)).items()}
    state = filled({**names, 'head.fc.weight': (3, 8), 'head.fc.bias': (3,)})
    timm_state, _ = convert(state, target='timm')
    assert ('incre_modules.0.0.downsample.0.weight' in timm_state) == (width != 128)
    assert_same(convert(timm_state)[0], state)


def _one_block(width):
    stages = [Stage(1, (1,), (4,), 'BOTTLENECK')]
    stages += [Stage(1, (1,) * n, (width,) * n) for n in (2, 3, 4)]
    return HRNetArch(tuple(stages))


@pytest.mark.parametrize('name', ['hrnet_w18_small', 'hrnet_w18_ssld'])
@pytest.mark.parametrize('options', [dict(features_only=True), dict(num_classes=0)], ids=str)
def test_timms_backbones_convert(name, options):
    model = fill(timm.create_model(name, pretrained=False, **options)).eval()
    converted, _ = convert(model.state_dict())
    ours = HRNet('w18_small_v1' if 'small' in name else 'w18').eval()
    load_backbone(ours, converted, name='timm')
    for key, value in ours.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    assert not any(key.startswith('head.') for key in converted)
    assert any(key.startswith('neck.0.final_layer.') for key in converted) == ('num_classes' in options)


def test_timm_names_are_the_official_ones():
    model = timm.create_model('hrnet_w18_small', pretrained=False, num_classes=3)
    assert recognise(model.state_dict()) == 'official-cls'
    bare = timm.create_model('hrnet_w18_small', pretrained=False, num_classes=3, head_conv_bias=False)
    assert recognise(bare.state_dict()) == 'timm-ssld'
    assert_same(convert(model.state_dict())[0], convert(model.state_dict(), 'timm')[0])
