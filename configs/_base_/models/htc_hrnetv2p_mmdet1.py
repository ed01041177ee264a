_base_ = ['./htc_hrnetv2p.py', './mmdet1.py']

heads = _base_.model.roi_head.bbox_head
model = _base_.pop('mmdet1')
# Lists are replaced, not merged: all three heads are stated, each with the conventions' coder.
model.roi_head.bbox_head = [
    dict(head, bbox_coder=dict(head.bbox_coder, **model.roi_head.bbox_head.bbox_coder)) for head in heads
]
model.roi_head.mask_roi_extractor = model.roi_head.bbox_roi_extractor
model.roi_head.semantic_roi_extractor = model.roi_head.bbox_roi_extractor

# mmdet's config of HTC brings its training as well; mmengine wants all of a loop's parts or none.
train_dataloader = None
train_cfg = None
optim_wrapper = None
param_scheduler = None
val_dataloader = None
val_cfg = None
val_evaluator = None
custom_hooks = []
