_base_ = [
    '../../_base_/models/faster-rcnn_hrnetv2p.py',
    '../../_base_/hrnet_w18.py',
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    '../../_base_/det_runtime.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
