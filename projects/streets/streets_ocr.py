# streets, label maps: 367 train, 101 val, 233 test pictures, 11 classes. Written by hrnet-plugins 0.2.0 with
# hrnet-plugins new projects/streets/streets_ocr.py --data data/streets --classes \
#   sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist --ignore 11 --from-scratch --recipe \
#   ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024
_base_ = '../../configs/seg/ocr/ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024.py'

classes = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist')
num_classes = len(classes)

# What a class counts in the loss, by its share of the pixels as in ENet (arXiv:1606.02147).
class_weight = [5.6, 4.3, 33.57, 3.34, 15.49, 8.74, 31.54, 32.01, 12.83, 38.01, 43.91]

# Small heads for a machine without a GPU (--heads full keeps those of the recipe); the layout that is faster without a
# GPU; from scratch: norms learn their statistics, each residual block starts at zero.
model = dict(
    backbone=dict(init_cfg=None, channels_last=True, zero_init_residual=True),
    decode_head=[
        dict(
            _base_.model.decode_head[0],
            num_classes=num_classes,
            loss_decode=dict(_base_.model.decode_head[0]['loss_decode'], class_weight=class_weight),
        ),
        dict(
            _base_.model.decode_head[1],
            channels=128,
            ocr_channels=64,
            num_classes=num_classes,
            loss_decode=dict(_base_.model.decode_head[1]['loss_decode'], class_weight=class_weight),
        ),
    ],
    test_cfg=dict(_delete_=True, mode='whole'),
)

data_root = '{{ fileDirname }}/../../data/streets/'
label_values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
ignored = [11]
metainfo = dict(classes=classes)

# Pictures keep their size, 480x360 at the median.
base_size = 480
crop_size = (360, 480)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(
        type='RandomChoiceResize',
        scales=[(int(base_size * i / 10 + 0.5),) * 2 for i in range(8, 14)],
        keep_ratio=True,
    ),
    dict(type='Pad', size=crop_size[::-1], pad_val=dict(img=0, seg=255)),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='hrnet_plugins.LoadLabels'), dict(type='PackSegInputs')]

num_workers = 1

dataset = dict(
    type='hrnet_plugins.FolderDataset',
    data_root=data_root,
    metainfo=metainfo,
    label_values=label_values,
    ignored=ignored,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='{{ fileDirname }}/streets_ocr_data/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='{{ fileDirname }}/streets_ocr_data/val.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        dataset,
        _delete_=True,
        ann_file='{{ fileDirname }}/streets_ocr_data/test.txt',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(int(base_size * ratio),) * 2, keep_ratio=True) for ratio in (0.75, 1.0, 1.25)],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='hrnet_plugins.LoadLabels')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

# 10 epochs of 92 steps, 4 pictures each, on 2 CPU cores. The learning rate is for training from scratch.
max_epochs = 10
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.003, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=92),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=3e-05, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
auto_scale_lr = dict(base_batch_size=4)

# The best checkpoint by mIoU is kept beside the last, and training stops when it no longer gets better.
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=1, max_keep_ckpts=1, rule='greater'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EarlyStoppingHook', monitor='mIoU', rule='greater', min_delta=0.1, patience=8),
]

randomness = dict(seed=0)
