_base_ = ['./mask-rcnn_hrnetv2p.py', './mmdet1.py']

model = _base_.pop('mmdet1')
model.roi_head.mask_roi_extractor = model.roi_head.bbox_roi_extractor
