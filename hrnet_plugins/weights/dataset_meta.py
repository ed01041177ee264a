"""The classes and palette that go with a published weight, as the framework's own data set has them."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from hrnet_plugins.recipes import plain_meta
from hrnet_plugins.weights.catalog import CATALOG

DATASETS: tuple[tuple[str, str, str], ...] = (
    ('cityscapes', 'mmseg', 'CityscapesDataset'),
    ('pascal(-context-)?59', 'mmseg', 'PascalContextDataset59'),
    ('pascal', 'mmseg', 'PascalContextDataset'),
    ('coco-?stuff', 'mmseg', 'COCOStuffDataset'),
    ('ade20k', 'mmseg', 'ADE20KDataset'),
    ('_lip$', 'mmseg', 'LIPDataset'),
    ('voc12aug', 'mmseg', 'PascalVOCDataset'),
    ('loveda', 'mmseg', 'LoveDADataset'),
    ('potsdam', 'mmseg', 'PotsdamDataset'),
    ('vaihingen', 'mmseg', 'ISPRSDataset'),
    ('isaid', 'mmseg', 'iSAIDDataset'),
    ('coco', 'mmdet', 'CocoDataset'),
    ('^cls_', 'mmpretrain', 'ImageNet'),
)
"""What a weight's name says of its data set: a part of the name, the framework, its class. The first that fits."""


def meta_of_weight(name: str, *, import_framework: bool = False) -> dict[str, Any]:
    """What mmengine keeps as ``meta`` of a named weight: ``dict(dataset_meta=dict(classes=..., palette=...))``.

    Args:
        name: A name of the catalog, without ``hrnet://``.
        import_framework: Also where the framework of the data set is not imported yet, which takes seconds. Whoever
            builds its models has imported it.

    Returns:
        The meta; an empty dictionary for a backbone, and where the framework is not there.
    """
    weight = CATALOG.get(name)
    if weight is None or weight.part != 'model':
        return {}
    for pattern, framework, dataset in DATASETS:
        if not re.search(pattern, name):
            continue
        if not import_framework and f'{framework}.models' not in sys.modules:
            return {}
        try:
            meta = getattr(importlib.import_module(f'{framework}.datasets'), dataset).METAINFO
        except Exception:  # not installed, or it does not import: the weights load all the same
            return {}
        return plain_meta(meta)
    return {}


def meta_of_file(path: Path) -> dict[str, Any]:
    """As ``meta_of_weight`` for a file that is called as a source of the catalog calls it."""
    names = (name for name, weight in CATALOG.items() if any(path.name == source.file for source in weight.sources))
    return next((meta for name in names if (meta := meta_of_weight(name, import_framework=True))), {})
