"""mmdet, mmseg and mmpretrain as they are now. Every other format is converted to these names first."""

from __future__ import annotations

from hrnet_plugins.weights.formats.rows import BACKBONE, backbone, same
from hrnet_plugins.weights.formats.spec import Component, Format, Row

_MODEL = ('backbone', 'neck', 'head', 'decode_head', 'auxiliary_head', 'rpn_head', 'roi_head', 'bbox_head', 'mask_head')

OPENMMLAB = Format(
    'openmmlab',
    'mmdet, mmseg and mmpretrain, and bare backbones',
    (
        Component('model', tuple(Row(*same(f'{name}.*')) for name in _MODEL)),
        Component('preprocessing', (Row('data_preprocessor.*', None),)),
        backbone(names=(*BACKBONE, 'gn1', 'gn2')),
    ),
    signature=('backbone.*', *(f'{name}.*' for name in BACKBONE)),
)
"""A backbone alone is understood too: its keys get ``backbone.`` in front."""
