"""HRNet-Object-Detection: mmdet before 2.0 with an HRFPN of its own names."""

from __future__ import annotations

from hrnet_plugins.weights.formats.mmdet_v1 import two_stage
from hrnet_plugins.weights.formats.rows import linear
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.values import BACKGROUND_LAST

_HRFPN = (
    *linear('neck.reduction_conv.0', 'neck.reduction_conv.conv'),
    *linear('neck.fpn_conv.{level}', 'neck.fpn_convs.{level}.conv'),
)

OFFICIAL_DET = Format(
    'official-det',
    'HRNet-Object-Detection',
    two_stage(_HRFPN),
    signature=('neck.reduction_conv.0.*', 'neck.fpn_conv.*'),
    changes=(BACKGROUND_LAST,),
)
