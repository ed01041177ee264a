_base_ = [
    './_base_/faster-rcnn.py',
    './_base_/coco.py',
    './_base_/schedule_6e.py',
    './_base_/runtime.py',
]

model = dict(
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18_small_v1'),
    neck=dict(in_channels=[16, 32, 64, 128]),
)
