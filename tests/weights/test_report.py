"""The report of a conversion."""

from dataclasses import fields
from typing import get_args

from hrnet_plugins.weights import Report, convert
from hrnet_plugins.weights.formats.spec import Effect
from tests.helpers.published import stored


def test_report():
    _, report = convert(stored('fcos_w18_5l'))
    assert str(report).splitlines() == [
        'official-fcos -> openmmlab',
        'renamed 1885, to backbone.* (1830), neck.* (12), bbox_head.* (43)',
        'reshaped 5: ' + ', '.join(f'bbox_head.scales.{i}.scale' for i in range(5)),
    ]
    _, report = convert(stored('cls_w18'), target='timm')
    assert 'added as zeros 4: downsamp_modules.0.0.bias' in str(report)
    assert report.renamed == ()


def test_every_effect_has_its_field():
    assert set(get_args(Effect)) < {field.name for field in fields(Report)}
    for effect in get_args(Effect):
        assert 'some.key' in str(Report('timm', 'openmmlab', **{effect: ('some.key',)}))
