# ResNet's side of a comparison with faster-rcnn_hrnetv2p-w18_3e_digits.py: all but backbone and neck is the same.
_base_ = [
    './_base_/faster-rcnn.py',
    './_base_/coco.py',
    './_base_/schedule_3e.py',
    './_base_/runtime.py',
]

model = dict(
    backbone=dict(type='ResNet', depth=50, norm_cfg=dict(type='BN', requires_grad=True)),
    neck=dict(_delete_=True, type='FPN', in_channels=[256, 512, 1024, 2048], out_channels=_base_.channels, num_outs=5),
)
