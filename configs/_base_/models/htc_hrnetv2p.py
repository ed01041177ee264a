# mmdet keeps HTC's model, data (with stuff maps), 20 epochs and runtime in one config: this brings them all.
_base_ = 'mmdet::htc/htc_r50_fpn_20e_coco.py'

# The recipe adds the width: backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels).
model = dict(
    backbone=dict(_delete_=True, norm_eval=True),
    neck=dict(_delete_=True, type='hrnet_plugins.HRFPN', out_channels=256, num_outs=5),
)
custom_hooks = [dict(type='hrnet_plugins.StuffMapsHook')]
