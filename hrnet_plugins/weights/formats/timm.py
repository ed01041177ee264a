"""timm: ``hrnet_*``. Its names are those of HRNet-Image-Classification."""

from __future__ import annotations

from hrnet_plugins.weights.formats.official_cls import classification
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.values import FOLD_BIAS

TIMM = Format('timm', 'timm hrnet_*', classification(bias=True), changes=(FOLD_BIAS,))
"""It has no signature: its files are recognised as official ones, and the result is the same."""

TIMM_SSLD = Format(
    'timm-ssld',
    'timm hrnet_*_ssld',
    classification(bias=False),
    signature=('incre_modules.*', 'downsamp_modules.*', 'final_layer.*', 'classifier.*'),
)
"""Models whose weights are from PaddleClas. The convolutions of their heads have no biases."""
