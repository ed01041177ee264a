_base_ = [
    '../../_base_/models/fcos_hrnetv2p_official.py',
    '../../_base_/hrnet_w18.py',
    '../../_base_/datasets/coco_detection_test.py',
    '../../_base_/det_runtime.py',
]
model = dict(
    backbone=_base_.hrnet,
    neck=dict(in_channels=_base_.hrnet_channels, num_outs=6, stride=1),
    bbox_head=_base_.levels_6,
)
