_base_ = './seg_data.py'

num_classes = 20
crop_size = (473, 473)
base_size = 473
data_root = 'data/lip/'
loss = dict(type='hrnet_plugins.CrossEntropy')
aux_loss = loss
# Left and right of arm, leg and shoe change places in a mirror image.
flip_pairs = [(14, 15), (16, 17), (18, 19)]

# The long side becomes 0.5, 0.6, ... 1.6 times the base size, one of them by chance.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(type='RandomFlip', prob=0.5, swap_seg_labels=flip_pairs),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(
        type='RandomChoiceResize',
        scales=[(int(base_size * i / 10 + 0.5),) * 2 for i in range(5, 17)],
        keep_ratio=True,
    ),
    dict(type='Pad', size=crop_size[::-1], pad_val=dict(img=0, seg=255)),  # black, as it comes before normalisation
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='hrnet_plugins.LoadLabels'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=10,
    dataset=dict(
        type='hrnet_plugins.LIPDataset',
        data_root=data_root,
        data_prefix=dict(
            img_path='TrainVal_images/train_images',
            seg_map_path='TrainVal_parsing_annotations/train_segmentations',
        ),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.LIPDataset',
        data_root=data_root,
        data_prefix=dict(
            img_path='TrainVal_images/val_images',
            seg_map_path='TrainVal_parsing_annotations/val_segmentations',
        ),
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
    flip=True,
    flip_pairs=flip_pairs,
)
