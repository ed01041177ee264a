_base_ = 'mmdet::_base_/datasets/coco_detection.py'

# mmdet's FCOS: a short side of 640 or of 800.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomChoiceResize', scales=[(1333, 640), (1333, 800)], keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    )
)
