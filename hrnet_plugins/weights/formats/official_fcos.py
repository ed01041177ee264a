"""HRNet-FCOS, which is built on maskrcnn-benchmark."""

from __future__ import annotations

from hrnet_plugins.weights.formats.rows import backbone, linear
from hrnet_plugins.weights.formats.spec import Component, Format, Row
from hrnet_plugins.weights.formats.values import SCALAR_SCALE


def _tower(source: str, target: str) -> tuple[Row, ...]:
    """A sequence of convolutions with bias, each followed by a group norm and a ReLU."""
    return (
        *linear(f'{source}.{{3*layer}}', f'{target}.{{layer}}.conv'),
        *linear(f'{source}.{{3*layer+1}}', f'{target}.{{layer}}.gn'),
    )


_COMPONENTS = (
    backbone('backbone.body.'),
    Component(
        'neck',
        (
            *linear('backbone.fpn.reduction_conv.0', 'neck.reduction_conv.conv'),
            *linear('backbone.fpn.fpn_conv.{level}', 'neck.fpn_convs.{level}.conv'),
        ),
    ),
    Component(
        'FCOS head',
        (
            *_tower('rpn.head.cls_tower', 'bbox_head.cls_convs'),
            *_tower('rpn.head.bbox_tower', 'bbox_head.reg_convs'),
            *linear('rpn.head.cls_logits', 'bbox_head.conv_cls'),
            *linear('rpn.head.bbox_pred', 'bbox_head.conv_reg'),
            *linear('rpn.head.centerness', 'bbox_head.conv_centerness'),
            Row('rpn.head.scales.{level}.scale', 'bbox_head.scales.{level}.scale'),
        ),
    ),
)

OFFICIAL_FCOS = Format(
    'official-fcos',
    'HRNet-FCOS',
    _COMPONENTS,
    signature=('backbone.body.*', 'backbone.fpn.*'),
    changes=(SCALAR_SCALE,),
)
