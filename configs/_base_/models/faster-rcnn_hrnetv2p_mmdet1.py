_base_ = ['./faster-rcnn_hrnetv2p.py', './mmdet1.py']

model = _base_.pop('mmdet1')
