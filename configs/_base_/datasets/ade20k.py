_base_ = './cocostuff10k.py'

num_classes = 150
data_root = 'data/ade/ADEChallengeData2016/'

# As on COCO-Stuff, but the scores of the padding count.
test_pipeline = [
    *_base_.test_pipeline[:2],
    dict(_base_.test_pipeline[2], scored=True),
    *_base_.test_pipeline[3:],
]
train_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.ADE20KDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.ADE20KDataset',
        data_root=data_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
