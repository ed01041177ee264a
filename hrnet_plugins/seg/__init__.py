"""HRNetV2 and HRNet + OCR for mmseg: what needs it, imported by the configs that use it."""

from hrnet_plugins.seg.datasets import (
    ADE20KDataset,
    CityscapesDataset,
    COCOStuff10kDataset,
    FolderDataset,
    LIPDataset,
    PascalContext59Dataset,
    PascalContext60Dataset,
)
from hrnet_plugins.seg.heads import HRNetV2Head, OCRHead
from hrnet_plugins.seg.losses import CrossEntropy, OhemCrossEntropy
from hrnet_plugins.seg.metrics import LabelFiles, PublishedIoU
from hrnet_plugins.seg.multi_scale_test import MultiScaleTest
from hrnet_plugins.seg.segmentors import HRNetSegmentor, OCRSegmentor, TTAModel
from hrnet_plugins.seg.transforms import LoadLabels, PadToMultiple

__all__ = [
    'ADE20KDataset',
    'COCOStuff10kDataset',
    'CityscapesDataset',
    'CrossEntropy',
    'FolderDataset',
    'HRNetSegmentor',
    'HRNetV2Head',
    'LIPDataset',
    'LabelFiles',
    'LoadLabels',
    'MultiScaleTest',
    'OCRHead',
    'OCRSegmentor',
    'OhemCrossEntropy',
    'PadToMultiple',
    'PascalContext59Dataset',
    'PascalContext60Dataset',
    'PublishedIoU',
    'TTAModel',
]
