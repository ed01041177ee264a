_base_ = ['./cascade-mask-rcnn_hrnetv2p.py', './mmdet1.py']

heads = _base_.model.roi_head.bbox_head
model = _base_.pop('mmdet1')
# Lists are replaced, not merged: all three heads are stated, each with the conventions' coder.
model.roi_head.bbox_head = [
    dict(head, bbox_coder=dict(head.bbox_coder, **model.roi_head.bbox_head.bbox_coder)) for head in heads
]
model.roi_head.mask_roi_extractor = model.roi_head.bbox_roi_extractor
