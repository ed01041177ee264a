_base_ = './seg_data.py'

# How PASCAL-Context is trained and tested; the other datasets state what they do differently.
crop_size = (520, 520)
base_size = 520

# The long side becomes 0.5, 0.6, ... 2.1 times the base size, one of them by chance.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(
        type='RandomChoiceResize',
        scales=[(int(base_size * i / 10 + 0.5),) * 2 for i in range(5, 22)],
        keep_ratio=True,
    ),
    dict(type='Pad', size=crop_size[::-1], pad_val=dict(img=0, seg=255)),  # black, as it comes before normalisation
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

fused_test = dict(
    mode='fused',
    base_size=base_size,
    crop_size=crop_size,
    windows='padded',
    scales=[1.0],
    flip=False,
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(int(base_size * scale + 0.5),) * 2, keep_ratio=True)
                for scale in [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
            ],
            [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
            [dict(type='hrnet_plugins.LoadLabels')],
            [dict(type='PackSegInputs')],
        ],
    ),
]
