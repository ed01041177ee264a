_base_ = [
    '../../_base_/models/faster-rcnn_hrnetv2p.py',
    '../../_base_/hrnet_w18.py',
    '../../_base_/syncbn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../../_base_/schedules/schedule_1x_official.py',
    '../../_base_/det_runtime.py',
]
model = dict(
    backbone=dict(_base_.hrnet, **_base_.syncbn),
    neck=dict(in_channels=_base_.hrnet_channels),
)
