"""Scores beside mmseg's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image

from hrnet_plugins.registry import METRICS


@METRICS.register_module()
class PublishedIoU(IoUMetric):
    """mmseg's ``IoUMetric``, and ``mIoU_published``: the mean over all classes, as the published tables have it.

    A class that is neither in the labels nor predicted counts as zero there, and not at all in mmseg's ``mIoU``; the
    two agree where every class occurs. Source: ``testval`` of HRNet-Semantic-Segmentation, ``lib/core/function.py``.
    """

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The scores in percent, by name."""
        metrics = super().compute_metrics(results)
        if not self.format_only:
            intersection, union = (torch.stack(areas).sum(0) for areas in list(zip(*results))[:2])
            iou = intersection / union.clamp(min=1)
            metrics['mIoU_published'] = np.round(iou.mean().item() * 100, 2)
        return metrics


@METRICS.register_module()
class LabelFiles(IoUMetric):
    """No score: writes predictions as label files with the values that a test server expects.

    The values are the dataset's ``label_values``, one a class, as ``CityscapesDataset`` has them.

    Args:
        output_dir: Folder of the files, made where it is missing; each is named like its image.
        options: Those of ``IoUMetric``.
    """

    def __init__(self, *, output_dir: str, **options: Any) -> None:
        super().__init__(output_dir=output_dir, format_only=True, **options)

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Write the files of a batch."""
        values = np.array(self.dataset_meta['label_values'], np.uint8)
        for sample in data_samples:
            labels = sample['pred_sem_seg']['data'].squeeze().cpu().numpy()
            path = Path(self.output_dir) / f'{Path(sample["img_path"]).stem}.png'
            Image.fromarray(values[labels]).save(path)
