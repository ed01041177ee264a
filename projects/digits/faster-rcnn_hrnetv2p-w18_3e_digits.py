# HRNet's side of a comparison with faster-rcnn_r50-fpn_3e_digits.py: all but backbone and neck is the same.
_base_ = [
    './_base_/faster-rcnn.py',
    './_base_/coco.py',
    './_base_/schedule_3e.py',
    './_base_/runtime.py',
]

model = dict(
    # From scratch; the last norm of each residual block starts at zero, as ResNet's do by default.
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18', zero_init_residual=True),
    neck=dict(in_channels=[18, 36, 72, 144]),
)
