# mmdet keeps HTC's model, data, schedule and runtime in one config: what the digits change is stated on top of it.
_base_ = '../../configs/_base_/models/htc_hrnetv2p.py'

channels = 128
box_heads = _base_.model.roi_head.bbox_head
mask_heads = _base_.model.roi_head.mask_head
stages = _base_.model.train_cfg.rcnn
model = dict(
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18_small_v1', norm_eval=False),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=channels),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        # Digits are up to 64 pixels high: anchors of 16 to 256 pixels.
        anchor_generator=dict(scales=[4]),
    ),
    roi_head=dict(
        # On a CPU RoIAlign takes half of a step; one sample a bin and 32 boxes an image make it small.
        bbox_roi_extractor=dict(out_channels=channels, roi_layer=dict(sampling_ratio=1)),
        bbox_head=[dict(box_heads[i], in_channels=channels, fc_out_channels=256, num_classes=10) for i in range(3)],
        mask_roi_extractor=dict(out_channels=channels, roi_layer=dict(sampling_ratio=1)),
        mask_head=[
            dict(mask_heads[i], num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=10)
            for i in range(3)
        ],
        semantic_roi_extractor=dict(out_channels=channels),
        semantic_head=dict(num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=11),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200),
        rcnn=[dict(stages[i], sampler=dict(stages[i]['sampler'], num=32, pos_fraction=0.5)) for i in range(3)],
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200), rcnn=dict(score_thr=0.05)),
)

data_root = 'data/digits/'
metainfo = dict(classes=tuple('0123456789'))
resize = dict(type='Resize', scale=(160, 160), keep_ratio=True)
dataset = dict(data_root=data_root, metainfo=metainfo)
# No flip: a mirrored 2 is no digit.
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        dataset,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/', seg='semantic/train/'),
        filter_cfg=dict(min_size=1),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=True),
            resize,
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        dataset,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            resize,
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=1e-5, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=1),
)
randomness = dict(seed=0)
