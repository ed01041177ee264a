_base_ = ['mmdet::_base_/models/cascade-rcnn_r50_fpn.py', './hrnetv2p.py']

model = _base_.pop('hrnetv2p')
