"""What is to be found on the images of a detector, as mmdet's pipelines pack it."""

from __future__ import annotations

from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor


def sample(boxes: Tensor, labels: Tensor, size: tuple[int, int]) -> DetDataSample:
    """Boxes (n, 4) as x1, y1, x2, y2 in pixels and labels (n,) on one image of height and width ``size``."""
    about = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    found = DetDataSample(metainfo=about, gt_instances=InstanceData(bboxes=boxes, labels=labels))
    found.ignored_instances = InstanceData(bboxes=boxes[:0], labels=labels[:0])
    return found
