_base_ = '../../../configs/_base_/seg_runtime.py'

num_classes = 11
metainfo = dict(classes=('background', *'0123456789'))
data_root = 'data/digits/'
# No flip: a mirrored 2 is no digit.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='hrnet_plugins.FolderDataset',
        data_root=data_root,
        metainfo=metainfo,
        img_suffix='.png',
        data_prefix=dict(img_path='train', seg_map_path='semantic/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='hrnet_plugins.FolderDataset',
        data_root=data_root,
        metainfo=metainfo,
        img_suffix='.png',
        data_prefix=dict(img_path='val', seg_map_path='semantic/val'),
        test_mode=True,
        pipeline=train_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='hrnet_plugins.PublishedIoU', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
# Nine pixels of ten are background: the loss looks at the hard ones.
loss = dict(type='hrnet_plugins.OhemCrossEntropy', thresh=0.9, min_kept=8000)
aux_loss = dict(type='hrnet_plugins.CrossEntropy', average='all')
fused_test = dict(mode='fused', base_size=160, crop_size=(160, 160), windows='padded')

max_epochs = 6
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=0.9, eta_min=0, begin=0, end=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(_delete_=True, type='hrnet_plugins.CheckpointHook', interval=1, max_keep_ckpts=1),
)
randomness = dict(seed=0)
