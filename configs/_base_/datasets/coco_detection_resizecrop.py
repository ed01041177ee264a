_base_ = 'mmdet::_base_/datasets/coco_detection.py'

# HRNet-Object-Detection's multi-scale "ResizeCrop", which never draws its third scale, then the batch padded to one of
# two sizes. The zeros enter the statistics of SyncBN: they are part of the recipe.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(
                type='hrnet_plugins.RandomResizeCrop',
                scales=[(1400, 600), (1400, 800), (1400, 1000)],
                crop=(1200, 800),
                skip_last_scale=True,
            ),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
batch_augments = [dict(type='hrnet_plugins.BatchOrientedPad', long_side=1216, short_side=800)]
