"""mmdet before 2.0, whose box and mask heads have the background as their first class."""

from __future__ import annotations

from hrnet_plugins.weights.formats.rows import backbone, linear, same
from hrnet_plugins.weights.formats.spec import Component, Format, Row
from hrnet_plugins.weights.formats.values import BACKGROUND_LAST, SCALAR_SCALE_ON_READING


def two_stage(neck: tuple[Row, ...]) -> tuple[Component, ...]:
    """Faster, Mask and Cascade R-CNN and HTC, with this neck."""
    components = [backbone('backbone.'), Component('neck', neck)]
    rpn = (row for name in ('rpn_conv', 'rpn_cls', 'rpn_reg') for row in linear(*same(f'rpn_head.{name}')))
    components.append(Component('RPN', tuple(rpn)))
    for kind, dot in (('head', ''), ('cascade head', '{stage}.')):
        box, mask = f'bbox_head.{dot}', f'mask_head.{dot}'
        box_rows = (
            *linear(f'{box}shared_fcs.{{fc}}', f'roi_head.{box}shared_fcs.{{fc}}'),
            *linear(f'{box}fc_cls', f'roi_head.{box}fc_cls'),
            *linear(f'{box}fc_reg', f'roi_head.{box}fc_reg'),
        )
        mask_rows = (
            *linear(f'{mask}convs.{{conv}}.conv', f'roi_head.{mask}convs.{{conv}}.conv'),
            *linear(f'{mask}upsample', f'roi_head.{mask}upsample'),
            *linear(f'{mask}conv_logits', f'roi_head.{mask}conv_logits'),
            # HTC adds the mask features of the stage before. Its first stage has none, yet mmdet 1 made the layer.
            *([Row('mask_head.0.conv_res.conv.*', None)] if dot else []),
            Row(f'{mask}conv_res.conv.*', f'roi_head.{mask}conv_res.conv.*'),
        )
        components += [Component(f'box {kind}', box_rows), Component(f'mask {kind}', mask_rows)]
    components.append(Component('semantic head', (Row('semantic_head.*', 'roi_head.semantic_head.*'),)))
    return tuple(components)


_HRFPN = (*linear(*same('neck.reduction_conv.conv')), *linear(*same('neck.fpn_convs.{level}.conv')))

_FCOS = Component(
    'FCOS head',
    (
        *linear('bbox_head.fcos_cls', 'bbox_head.conv_cls'),
        *linear('bbox_head.fcos_reg', 'bbox_head.conv_reg'),
        *linear('bbox_head.fcos_centerness', 'bbox_head.conv_centerness'),
        *(Row(*same(f'bbox_head.{name}.*')) for name in ('cls_convs', 'reg_convs', 'scales')),
    ),
)

MMDET_V1 = Format(
    'mmdet-v1',
    'mmdet before 2.0',
    (*two_stage(_HRFPN), _FCOS),
    signature=('bbox_head.fc_cls.*', 'bbox_head.{stage}.fc_cls.*', 'bbox_head.fcos_cls.*'),
    changes=(BACKGROUND_LAST, SCALAR_SCALE_ON_READING),
)
