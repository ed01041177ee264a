_base_ = './fcos_mmdet1.py'

# The recipe adds the width: backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels).
model = dict(neck=dict(type='hrnet_plugins.HRFPN', stride=2))
