_base_ = [
    '../../_base_/models/fcos_hrnetv2p.py',
    '../../_base_/hrnet_w40.py',
    '../../_base_/datasets/coco_detection_ms-640-800.py',
    '../../_base_/schedules/fcos_2x.py',
    '../../_base_/det_runtime.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
