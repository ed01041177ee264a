# FCOS with group norm in its towers, as both mmdet and HRNet-FCOS train it; mmdet has no base model of it.
# By default with mmdet's settings, and five levels, whose finest has stride 8.
model = dict(
    type='FCOS',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.53, 116.28, 123.675],
        std=[57.375, 57.12, 58.395],
        bgr_to_rgb=False,
        pad_size_divisor=32,
    ),
    backbone=dict(norm_eval=True),
    neck=dict(out_channels=256, num_outs=5),
    bbox_head=dict(
        type='FCOSHead',
        num_classes=80,
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        strides=[8, 16, 32, 64, 128],
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type='IoULoss', loss_weight=1.0),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
    ),
    test_cfg=dict(
        nms_pre=1000,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type='nms', iou_threshold=0.5),
        max_per_img=100,
    ),
)
# For model.bbox_head: the levels that HRNet-FCOS calls 5l and 6l.
levels_5 = dict(
    strides=[8, 16, 32, 64, 128],
    regress_ranges=((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
)
levels_6 = dict(
    strides=[4, 8, 16, 32, 64, 128],
    regress_ranges=((-1, 32), (32, 64), (64, 128), (128, 256), (256, 512), (512, 1e8)),
)
