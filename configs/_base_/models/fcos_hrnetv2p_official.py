# HRNet-FCOS (maskrcnn-benchmark), under whose conventions its weights score as published: BGR input with unit
# deviation, towers with a bias before their group norm, NMS at 0.6. It ranks candidates by class score times
# centerness where mmdet ranks by class score, so none is cut before the two are multiplied.
# The recipe adds the width and, by its number of levels, strides and neck.
model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[102.9801, 115.9465, 122.7717],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(norm_eval=True),
    neck=dict(type='hrnet_plugins.HRFPN', out_channels=256),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=80,
        in_channels=256,
        feat_channels=256,
        stacked_convs=4,
        conv_bias=True,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
    ),
    test_cfg=dict(
        nms_pre=100000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=100,
    ),
)
levels_5 = dict(
    neck=dict(num_outs=5, stride=2),
    bbox_head=dict(
        strides=[8, 16, 32, 64, 128],
        regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
    ),
)
levels_6 = dict(
    neck=dict(num_outs=6, stride=1),
    bbox_head=dict(
        strides=[4, 8, 16, 32, 64, 128],
        regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
    ),
)
