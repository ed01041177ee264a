_base_ = [
    '../../_base_/models/htc_hrnetv2p.py',
    '../../_base_/hrnet_w40.py',
]
model = dict(backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels))
train_cfg = dict(max_epochs=28)
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=28, milestones=[24, 27])]
