_base_ = 'mmdet::_base_/datasets/coco_instance.py'

# For recipes that only test; mmengine wants all of a loop's parts or none.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
