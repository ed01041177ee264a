_base_ = [
    '../../configs/_base_/models/mask-rcnn_hrnetv2p.py',
    './_base_/coco_masks.py',
    './_base_/schedule_5e.py',
    './_base_/runtime.py',
]

channels = 128
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18_small_v1', norm_eval=False),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        # Digits are up to 64 pixels high: anchors of 16 to 256 pixels.
        anchor_generator=dict(scales=[4]),
    ),
    roi_head=dict(
        # On a CPU RoIAlign takes half of a step; one sample a bin and 64 boxes an image make it small.
        bbox_roi_extractor=dict(out_channels=channels, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(in_channels=channels, fc_out_channels=256, num_classes=10, reg_class_agnostic=True),
        mask_roi_extractor=dict(out_channels=channels, roi_layer=dict(sampling_ratio=1)),
        mask_head=dict(num_convs=2, in_channels=channels, conv_out_channels=64, num_classes=10),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=dict(sampler=dict(num=64, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)
