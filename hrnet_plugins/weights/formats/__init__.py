"""The formats in which HRNet checkpoints were published, one file a source.

Each file holds an ordered table of names, which leads to the key names of OpenMMLab's full models: ``backbone.*``,
``neck.*``, ``head.*``, ``decode_head.*``, ``rpn_head.*``, ``roi_head.*``, ``bbox_head.*``. ``spec`` has the language of
the tables, ``rows`` what several tables share, ``values`` what happens to the values.

To add a format, write a file like the others and put its ``Format`` into the list here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hrnet_plugins.weights.formats.mmdet_v1 import MMDET_V1
from hrnet_plugins.weights.formats.official_cls import OFFICIAL_CLS
from hrnet_plugins.weights.formats.official_det import OFFICIAL_DET
from hrnet_plugins.weights.formats.official_fcos import OFFICIAL_FCOS
from hrnet_plugins.weights.formats.official_seg import OFFICIAL_SEG, OFFICIAL_SEG_ABN
from hrnet_plugins.weights.formats.openmmlab import OPENMMLAB
from hrnet_plugins.weights.formats.paddle import PADDLE, PADDLE_2_0
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.timm import TIMM, TIMM_SSLD

_ORDER = (
    PADDLE,
    PADDLE_2_0,
    OFFICIAL_FCOS,
    OFFICIAL_DET,
    MMDET_V1,
    OFFICIAL_SEG,
    OFFICIAL_SEG_ABN,
    OFFICIAL_CLS,
    TIMM,
    TIMM_SSLD,
    OPENMMLAB,
)
"""The first whose signature a file has is its format, so the most general one is the last."""

FORMATS: Mapping[str, Format] = MappingProxyType({fmt.name: fmt for fmt in _ORDER})
"""Formats by name, in the order in which they are recognised."""
