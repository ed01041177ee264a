_base_ = ['./mask-rcnn_hrnetv2p.py', './official.py']

model = _base_.pop('official')
model.roi_head.mask_roi_extractor = model.roi_head.bbox_roi_extractor
