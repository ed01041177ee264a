_base_ = './ade20k.py'

# The plain model was trained with scales up to 1.6, as its yaml file says; OCR with scales up to 2.1.
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(_base_.train_pipeline[3], scales=_base_.train_pipeline[3].scales[:12]),
    *_base_.train_pipeline[4:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
