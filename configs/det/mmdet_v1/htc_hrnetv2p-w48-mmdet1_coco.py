_base_ = ['../../_base_/models/htc_hrnetv2p_mmdet1.py', '../../_base_/hrnet_w48.py']
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
