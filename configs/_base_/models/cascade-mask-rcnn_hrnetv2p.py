_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'

# The recipe adds the width: backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels).
model = dict(
    backbone=dict(_delete_=True, norm_eval=True),
    neck=dict(_delete_=True, type='hrnet_plugins.HRFPN', out_channels=256, num_outs=5),
)
