_base_ = ['mmdet::_base_/datasets/coco_detection.py', './coco_zip.py']

train_pipeline = [_base_.zip_load, *_base_.train_pipeline[1:]]
test_pipeline = [_base_.zip_load, *_base_.test_pipeline[1:]]
train_dataloader = dict(
    collate_fn=_base_.zip_collate, dataset=dict(data_prefix=_base_.zip_train_images, pipeline=train_pipeline)
)
val_dataloader = dict(
    collate_fn=_base_.zip_collate, dataset=dict(data_prefix=_base_.zip_val_images, pipeline=test_pipeline)
)
test_dataloader = val_dataloader
