_base_ = ['./faster-rcnn_hrnetv2p.py', './official.py']

model = _base_.pop('official')
