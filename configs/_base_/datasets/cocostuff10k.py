_base_ = './seg_crops.py'

num_classes = 171
data_root = 'data/coco_stuff10k/'
loss = dict(type='hrnet_plugins.OhemCrossEntropy', thresh=0.9, min_kept=131072)
# Beside the OHEM loss the official code averages the auxiliary one over all pixels, those without a label included.
aux_loss = dict(type='hrnet_plugins.CrossEntropy', average='all')

train_pipeline = [
    *_base_.train_pipeline[:2],
    # The short side to the base size first, as published, though the long side is set right after.
    dict(type='Resize', scale=(100 * _base_.base_size, _base_.base_size), keep_ratio=True),
    *_base_.train_pipeline[2:],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    train_pipeline[2],
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
