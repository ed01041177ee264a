"""The formats that HRNet checkpoints were published in, one ordered table of names each.

Every table leads to the key names of OpenMMLab's full models: ``backbone.*``, ``neck.*``, ``head.*``,
``decode_head.*``, ``rpn_head.*``, ``roi_head.*``, ``bbox_head.*``. The backbone's own names are the same everywhere,
PaddleClas aside. What happens to the values is in ``values``; the language of the tables is in ``templates``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hrnet_plugins.weights.formats.paddle import PADDLE_PARTS
from hrnet_plugins.weights.formats.rows import bottleneck, conv_norm, linear, same
from hrnet_plugins.weights.formats.spec import Format, Part, Row
from hrnet_plugins.weights.formats.values import ABS_GAMMA, BACKGROUND_LAST, FOLD_BIAS, SCALAR_SCALE, TRANSPOSE_LINEAR

BACKBONE: tuple[str, ...] = (
    *('conv1', 'bn1', 'conv2', 'bn2', 'layer1'),
    *(f'transition{i}' for i in (1, 2, 3)),
    *(f'stage{i}' for i in (2, 3, 4)),
)
"""First names of the backbone's keys."""


def _backbone(prefix: str = '', names: tuple[str, ...] = BACKBONE) -> Part:
    return Part('backbone', tuple(Row(f'{prefix}{name}.*', f'backbone.{name}.*') for name in names))


def _classification(*, bias: bool) -> tuple[Part, ...]:
    """HRNet-Image-Classification ``cls_hrnet.py``, and timm, whose SSLD models have no convolution biases."""
    rows = (
        *bottleneck('incre_modules.{branch}.0', 'neck.0.increase_layers.{branch}.0'),
        *conv_norm(
            'downsamp_modules.{step}.0',
            'downsamp_modules.{step}.1',
            'neck.0.downsample_layers.{step}',
            bias=bias,
        ),
        *conv_norm('final_layer.0', 'final_layer.1', 'neck.0.final_layer', bias=bias),
        *linear('classifier', 'head.fc'),
    )
    return (_backbone(), Part('classification head', rows, required=True))


_OBJECT_CONTEXT = 'ocr_distri_head.object_context_block'
_ATTENTION = 'decode_head.1.object_context_block'

SEGMENTATION = (
    _backbone(),
    Part(
        'HRNetV2 head',
        (
            *conv_norm('last_layer.0', 'last_layer.1', 'decode_head.convs.0', bias=True),
            *linear('last_layer.3', 'decode_head.conv_seg'),
        ),
    ),
    Part(
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
    Part('training losses', (Row('loss.*', None),)),
)
"""HRNet-Semantic-Segmentation, ``seg_hrnet.py`` and ``seg_hrnet_ocr.py``."""


_HRFPN = (
    *linear('neck.reduction_conv.0', 'neck.reduction_conv.conv'),
    *linear('neck.fpn_conv.{level}', 'neck.fpn_convs.{level}.conv'),
)
_HRFPN_MMDET = (*linear(*same('neck.reduction_conv.conv')), *linear(*same('neck.fpn_convs.{level}.conv')))


def _two_stage(neck: tuple[Row, ...]) -> tuple[Part, ...]:
    """Detectors of mmdet before 2.0: Faster, Mask and Cascade R-CNN, HTC."""
    parts = [_backbone('backbone.'), Part('neck', neck)]
    rpn = (row for name in ('rpn_conv', 'rpn_cls', 'rpn_reg') for row in linear(*same(f'rpn_head.{name}')))
    parts.append(Part('RPN', tuple(rpn)))
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
            Row(f'{mask}conv_res.conv.*', f'roi_head.{mask}conv_res.conv.*'),  # HTC, but its first stage
        )
        parts += [Part(f'box {kind}', box_rows), Part(f'mask {kind}', mask_rows)]
    parts.append(Part('semantic head', (Row('semantic_head.*', 'roi_head.semantic_head.*'),)))
    return tuple(parts)


def _tower(source: str, target: str) -> tuple[Row, ...]:
    """Convolution with bias, group norm, ReLU; repeated."""
    return (
        *linear(f'{source}.{{3*layer}}', f'{target}.{{layer}}.conv'),
        *linear(f'{source}.{{3*layer+1}}', f'{target}.{{layer}}.gn'),
    )


FCOS = (
    _backbone('backbone.body.'),
    Part(
        'neck',
        (
            *linear('backbone.fpn.reduction_conv.0', 'neck.reduction_conv.conv'),
            *linear('backbone.fpn.fpn_conv.{level}', 'neck.fpn_convs.{level}.conv'),
        ),
    ),
    Part(
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
"""HRNet-FCOS (maskrcnn-benchmark)."""


_FCOS_V1 = Part(
    'FCOS head',
    (
        *linear('bbox_head.fcos_cls', 'bbox_head.conv_cls'),
        *linear('bbox_head.fcos_reg', 'bbox_head.conv_reg'),
        *linear('bbox_head.fcos_centerness', 'bbox_head.conv_centerness'),
        *(Row(*same(f'bbox_head.{name}.*')) for name in ('cls_convs', 'reg_convs', 'scales')),
    ),
)


_MODEL = ('backbone', 'neck', 'head', 'decode_head', 'auxiliary_head', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head')
OPENMMLAB = (
    Part('model', tuple(Row(*same(f'{name}.*')) for name in _MODEL)),
    Part('preprocessing', (Row('data_preprocessor.*', None),)),
    _backbone(names=(*BACKBONE, 'gn1', 'gn2')),
)
"""mmdet, mmseg and mmpretrain as they are; the keys of a bare backbone gain ``backbone.``."""


_FORMATS = (
    Format(
        'paddle',
        'PaddleClas (SSLD) .pdparams',
        PADDLE_PARTS,
        marks=('conv_layer1_1.*',),
        changes=(TRANSPOSE_LINEAR,),
        writable=False,
    ),
    Format(
        'official-fcos',
        'HRNet-FCOS',
        FCOS,
        marks=('backbone.body.*', 'backbone.fpn.*'),
        changes=(SCALAR_SCALE,),
    ),
    Format(
        'official-det',
        'HRNet-Object-Detection',
        _two_stage(_HRFPN),
        marks=('neck.reduction_conv.0.*', 'neck.fpn_conv.*'),
        changes=(BACKGROUND_LAST,),
    ),
    Format(
        'mmdet-v1',
        'mmdet before 2.0',
        (*_two_stage(_HRFPN_MMDET), _FCOS_V1),
        marks=('bbox_head.fc_cls.*', 'bbox_head.{stage}.fc_cls.*', 'bbox_head.fcos_cls.*'),
        changes=(BACKGROUND_LAST,),
    ),
    Format(
        'official-seg',
        'HRNet-Semantic-Segmentation, plain or OCR',
        SEGMENTATION,
        marks=('last_layer.*', 'aux_head.*', 'cls_head.*', 'conv3x3_ocr.*', 'ocr_distri_head.*'),
        changes=(FOLD_BIAS,),
    ),
    Format(
        'official-seg-abn',
        'HRNet-Semantic-Segmentation trained on InPlaceABN (files *_torch04)',
        SEGMENTATION,
        changes=(FOLD_BIAS, ABS_GAMMA),
        writable=False,
    ),
    Format(
        'official-cls',
        'HRNet-Image-Classification (the names of timm as well)',
        _classification(bias=True),
        marks=('downsamp_modules.{step}.0.bias', 'final_layer.0.bias'),
        changes=(FOLD_BIAS,),
    ),
    Format('timm', 'timm hrnet_*', _classification(bias=True), changes=(FOLD_BIAS,)),
    Format(
        'timm-ssld',
        'timm hrnet_*_ssld',
        _classification(bias=False),
        marks=('incre_modules.*', 'downsamp_modules.*', 'final_layer.*', 'classifier.*'),
    ),
    Format(
        'openmmlab',
        'mmdet, mmseg and mmpretrain, and bare backbones',
        OPENMMLAB,
        marks=('backbone.*', *(f'{name}.*' for name in BACKBONE)),
    ),
)

FORMATS: Mapping[str, Format] = MappingProxyType({fmt.name: fmt for fmt in _FORMATS})
"""Formats by name, in the order in which they are recognised."""
