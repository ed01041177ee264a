# cells, PASCAL VOC: 205 train, 87 val, 72 test pictures, 3 classes. Written by hrnet-plugins 0.2.0 with
# hrnet-plugins new projects/cells/cells_fcos.py --data data/cells --from-scratch --recipe fcos_hrnetv2p-w18_1x_coco \
#   --arch w18_small_v1
_base_ = '../../configs/det/fcos/fcos_hrnetv2p-w18_1x_coco.py'

classes = ('Platelets', 'RBC', 'WBC')
num_classes = len(classes)

# The arch w18_small_v1 in place of w18; small heads for a machine without a GPU (--heads full keeps those of the
# recipe); the layout that is faster without a GPU; from scratch: norms learn their statistics, each residual block
# starts at zero.
model = dict(
    backbone=dict(norm_eval=False, arch='w18_small_v1', init_cfg=None, channels_last=True, zero_init_residual=True),
    neck=dict(out_channels=128, in_channels=[16, 32, 64, 128]),
    bbox_head=dict(
        num_classes=num_classes,
        in_channels=128,
        stacked_convs=2,
        feat_channels=128,
        norm_cfg=dict(type='GN', num_groups=16, requires_grad=True),
        norm_on_bbox=True,
    ),
)

data_root = '{{ fileDirname }}/../../data/cells/'
metainfo = dict(classes=classes)

# Pictures are made smaller, to 399x299 at the median, for the time and memory they take (--size).
scale = (399, 299)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

num_workers = 1

dataset = dict(
    type='XMLDataset',
    data_root=data_root,
    metainfo=metainfo,
    data_prefix=dict(sub_data_root=''),
    img_subdir='BCCD/JPEGImages',
    ann_subdir='BCCD/Annotations',
)
train_dataloader = dict(
    batch_size=4,
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='BCCD/ImageSets/Main/train.txt',
        filter_cfg=dict(filter_empty_gt=True, min_size=1),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='BCCD/ImageSets/Main/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='BCCD/ImageSets/Main/test.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = dict(_delete_=True, type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator

# 12 epochs of 52 steps, 4 pictures each, on 2 CPU cores. The learning rate is for training from scratch.
max_epochs = 12
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=62),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=1e-05, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs)
auto_scale_lr = dict(base_batch_size=4)

# The best checkpoint by pascal_voc/mAP is kept beside the last, and training stops when it no longer gets better.
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(save_best='pascal_voc/mAP', rule='greater', max_keep_ckpts=1),
)
custom_hooks = [dict(type='EarlyStoppingHook', monitor='pascal_voc/mAP', rule='greater', min_delta=0.001, patience=8)]

randomness = dict(seed=0)
