_base_ = [
    '../../_base_/models/cascade-rcnn_hrnetv2p_mmdet1.py',
    '../../_base_/hrnet_w32.py',
    '../../_base_/datasets/coco_detection_test.py',
    '../../_base_/det_runtime.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
