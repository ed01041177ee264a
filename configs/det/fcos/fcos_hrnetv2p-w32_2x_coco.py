_base_ = [
    '../../_base_/models/fcos_hrnetv2p.py',
    '../../_base_/hrnet_w32.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../../_base_/schedules/fcos_2x.py',
    '../../_base_/det_runtime.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
