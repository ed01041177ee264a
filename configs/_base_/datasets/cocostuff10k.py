_base_ = './seg_data.py'

num_classes = 171
crop_size = (520, 520)
base_size = 520
data_root = 'data/coco_stuff10k/'
loss = dict(type='hrnet_plugins.OhemCrossEntropy', thresh=0.9, min_kept=131072)
# Beside the OHEM loss the official code averages the auxiliary one over all pixels, those without a label included.
aux_loss = dict(type='hrnet_plugins.CrossEntropy', average='all')

# The long side becomes 0.5, 0.6, ... 2.1 times the base size, one of them by chance.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    # The short side to the base size first, as published, though the long side is set right after.
    dict(type='Resize', scale=(100 * base_size, base_size), keep_ratio=True),
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
    dict(type='Resize', scale=(100 * base_size, base_size), keep_ratio=True),
    dict(type='hrnet_plugins.PadToMultiple', divisor=8, value=(104, 116, 124)),  # the mean colour, BGR
    dict(type='hrnet_plugins.LoadLabels'),
    dict(
        type='PackSegInputs',
        # The last one tells mmseg's metric that in label files the classes start at 1.
        meta_keys=('img_path', 'ori_shape', 'img_shape', 'pad_shape', 'img_padding_size', 'reduce_zero_label'),
    ),
]
train_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.COCOStuff10kDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/train2014', seg_map_path='annotations/train2014'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.COCOStuff10kDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/test2014', seg_map_path='annotations/test2014'),
        pipeline=test_pipeline,
    ),
)
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
