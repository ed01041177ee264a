_base_ = [
    '../../_base_/models/cascade-rcnn_hrnetv2p.py',
    '../../_base_/hrnet_w32.py',
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_20e.py',
    '../../_base_/det_runtime.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
