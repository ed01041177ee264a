_base_ = './pascal-context-60.py'

crop_size = (480, 480)
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(_base_.train_pipeline[3], size=crop_size[::-1]),
    dict(_base_.train_pipeline[4], crop_size=crop_size),
    *_base_.train_pipeline[5:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
fused_test = dict(crop_size=crop_size)
