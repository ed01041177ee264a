_base_ = './seg_crops.py'

num_classes = 59
data_root = 'data/VOCdevkit/VOC2010/'
loss = dict(type='hrnet_plugins.CrossEntropy')
aux_loss = loss

train_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.PascalContext59Dataset',
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/train.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.PascalContext59Dataset',
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassContext'),
    ),
)
test_dataloader = val_dataloader
