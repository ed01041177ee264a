_base_ = 'mmdet::_base_/datasets/coco_detection.py'

# HRNet-Object-Detection's multi-scale "Default": one of three scales for each image, then the batch padded to one of
# two sizes. The zeros enter the statistics of SyncBN: they are part of the recipe.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomChoiceResize', scales=[(1600, 1000), (1000, 600), (1333, 800)], keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
batch_augments = [dict(type='hrnet_plugins.BatchOrientedPad', long_side=1600, short_side=1024)]
