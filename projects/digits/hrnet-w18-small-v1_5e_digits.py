_base_ = [
    '../../configs/_base_/models/hrnet_cls.py',
    '../../configs/_base_/cls_runtime.py',
]

# A small head on the small network: 64x64 pictures end in maps of 2x2 cells.
channels = 512
model = dict(
    backbone=dict(type='hrnet_plugins.HRNet', arch='w18_small_v1'),
    neck=[
        dict(
            type='hrnet_plugins.HRFuseScales',
            in_channels=[16, 32, 64, 128],
            out_channels=channels,
            mid_channels=[32, 64, 128, 256],
        ),
        dict(type='GlobalAveragePooling'),
    ],
    head=dict(in_channels=channels, num_classes=10, topk=(1,)),
)

data_preprocessor = dict(num_classes=10, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True)
# No flip: a mirrored 2 is no digit. Shifts of up to 6 pixels stand in for it.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=64, padding=6),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CustomDataset', data_root='data/digits/classification/train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=60,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root='data/digits/classification/val', pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

max_epochs = 5
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=1e-5, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=1),
)
randomness = dict(seed=0)
