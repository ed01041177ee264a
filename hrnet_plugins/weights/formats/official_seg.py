"""HRNet-Semantic-Segmentation: ``seg_hrnet.py`` and ``seg_hrnet_ocr.py``."""

from __future__ import annotations

from hrnet_plugins.weights.formats.rows import backbone, conv_norm, linear
from hrnet_plugins.weights.formats.spec import Component, Format, Row
from hrnet_plugins.weights.formats.values import ABS_GAMMA, FOLD_BIAS

_OBJECT_CONTEXT = 'ocr_distri_head.object_context_block'
_ATTENTION = 'decode_head.1.object_context_block'

_COMPONENTS = (
    backbone(),
    Component(
        'HRNetV2 head',
        (
            *conv_norm('last_layer.0', 'last_layer.1', 'decode_head.convs.0', bias=True),
            *linear('last_layer.3', 'decode_head.conv_seg'),
        ),
    ),
    Component(
        'OCR heads',
        (
            *conv_norm('aux_head.0', 'aux_head.1', 'decode_head.0.convs.0', bias=True),
            *linear('aux_head.3', 'decode_head.0.conv_seg'),
            *conv_norm('conv3x3_ocr.0', 'conv3x3_ocr.1', 'decode_head.1.bottleneck', bias=True),
            *conv_norm(
                f'{_OBJECT_CONTEXT}.f_pixel.0', f'{_OBJECT_CONTEXT}.f_pixel.1.0', f'{_ATTENTION}.query_project.0'
            ),
            *conv_norm(
                f'{_OBJECT_CONTEXT}.f_pixel.2', f'{_OBJECT_CONTEXT}.f_pixel.3.0', f'{_ATTENTION}.query_project.1'
            ),
            *conv_norm(
                f'{_OBJECT_CONTEXT}.f_object.0', f'{_OBJECT_CONTEXT}.f_object.1.0', f'{_ATTENTION}.key_project.0'
            ),
            *conv_norm(
                f'{_OBJECT_CONTEXT}.f_object.2', f'{_OBJECT_CONTEXT}.f_object.3.0', f'{_ATTENTION}.key_project.1'
            ),
            *conv_norm(f'{_OBJECT_CONTEXT}.f_down.0', f'{_OBJECT_CONTEXT}.f_down.1.0', f'{_ATTENTION}.value_project'),
            *conv_norm(f'{_OBJECT_CONTEXT}.f_up.0', f'{_OBJECT_CONTEXT}.f_up.1.0', f'{_ATTENTION}.out_project'),
            *conv_norm(
                'ocr_distri_head.conv_bn_dropout.0',
                'ocr_distri_head.conv_bn_dropout.1.0',
                f'{_ATTENTION}.bottleneck',
            ),
            *linear('cls_head', 'decode_head.1.conv_seg'),
        ),
    ),
    Component('training losses', (Row('loss.*', None),)),
)

OFFICIAL_SEG = Format(
    'official-seg',
    'HRNet-Semantic-Segmentation, plain or OCR',
    _COMPONENTS,
    signature=('last_layer.*', 'aux_head.*', 'cls_head.*', 'conv3x3_ocr.*', 'ocr_distri_head.*'),
    changes=(FOLD_BIAS,),
)

OFFICIAL_SEG_ABN = Format(
    'official-seg-abn',
    'HRNet-Semantic-Segmentation trained on InPlaceABN (files *_torch04)',
    _COMPONENTS,
    changes=(FOLD_BIAS, ABS_GAMMA),
    writable=False,
)
"""It has no signature, as its keys are those of ``OFFICIAL_SEG``: ``recognise`` looks at the values as well."""
