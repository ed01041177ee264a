_base_ = [
    '../../configs/_base_/models/fcos_hrnetv2p.py',
    './_base_/coco.py',
    './_base_/schedule_6e.py',
    './_base_/runtime.py',
]

channels = 128
model = dict(
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18_small_v1', norm_eval=False),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels),
    bbox_head=dict(
        num_classes=10,
        in_channels=channels,
        feat_channels=channels,
        stacked_convs=2,
        # Distances in strides, not pixels, start at the right size: from scratch, 900 steps leave no time to grow.
        norm_on_bbox=True,
        norm_cfg=dict(type='GN', num_groups=16, requires_grad=True),
    ),
)
