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
from hrnet_plugins.seg.fusion import FusedTest
from hrnet_plugins.seg.heads import HRNetV2Head, OCRHead
from hrnet_plugins.seg.losses import CrossEntropy, OhemCrossEntropy
from hrnet_plugins.seg.metrics import LabelFiles, PublishedIoU
from hrnet_plugins.seg.segmentors import AveragedTest, HRNetSegmentor, OCRSegmentor
from hrnet_plugins.seg.transforms import LoadLabels, PadToMultiple

__all__ = [
    'ADE20KDataset',
    'AveragedTest',
    'COCOStuff10kDataset',
    'CityscapesDataset',
    'CrossEntropy',
    'FolderDataset',
    'FusedTest',
    'HRNetSegmentor',
    'HRNetV2Head',
    'LIPDataset',
    'LabelFiles',
    'LoadLabels',
    'OCRHead',
    'OCRSegmentor',
    'OhemCrossEntropy',
    'PadToMultiple',
    'PascalContext59Dataset',
    'PascalContext60Dataset',
    'PublishedIoU',
]
