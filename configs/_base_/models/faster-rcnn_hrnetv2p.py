_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py', './hrnetv2p.py']

model = _base_.pop('hrnetv2p')
