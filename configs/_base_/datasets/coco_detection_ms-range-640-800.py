_base_ = 'mmdet::_base_/datasets/coco_detection.py'

# HRNet-FCOS: a short side of any number of pixels from 640 to 800.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomResize', scale=[(1333, 640), (1333, 800)], keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
