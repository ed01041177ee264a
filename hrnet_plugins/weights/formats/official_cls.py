"""HRNet-Image-Classification: ``cls_hrnet.py``."""

from __future__ import annotations

from hrnet_plugins.weights.formats.rows import backbone, bottleneck, conv_norm, linear
from hrnet_plugins.weights.formats.spec import Component, Format
from hrnet_plugins.weights.formats.values import FOLD_BIAS


def classification(*, bias: bool) -> tuple[Component, ...]:
    """Backbone and classification head; with ``bias`` the head's convolutions have one.

    A file may lack some: timm's ``features_only`` models have the widening of the head alone, those of
    ``num_classes=0`` all but the classifier.
    """
    fusion = (
        *conv_norm(
            'downsamp_modules.{step}.0',
            'downsamp_modules.{step}.1',
            'neck.0.downsample_layers.{step}',
            bias=bias,
        ),
        *conv_norm('final_layer.0', 'final_layer.1', 'neck.0.final_layer', bias=bias),
    )
    widening = bottleneck('incre_modules.{branch}.0', 'neck.0.increase_layers.{branch}.0')
    return (
        backbone(),
        Component('widening of the branches', widening, written=True),
        Component('fusion of the branches', fusion, written=True),
        Component('classifier', linear('classifier', 'head.fc'), written=True),
    )


OFFICIAL_CLS = Format(
    'official-cls',
    'HRNet-Image-Classification (the names of timm as well)',
    classification(bias=True),
    signature=('downsamp_modules.{step}.0.bias', 'final_layer.0.bias'),
    changes=(FOLD_BIAS,),
)
