# mmdet keeps HTC's model, data (with stuff maps), 20 epochs and runtime in one config: this brings them all.
_base_ = ['mmdet::htc/htc_r50_fpn_20e_coco.py', './hrnetv2p.py']

model = _base_.pop('hrnetv2p')
custom_hooks = [dict(type='hrnet_plugins.StuffMapsHook')]
# As in det_runtime.py, whose base the config above has already.
default_hooks = dict(
    checkpoint=dict(type='hrnet_plugins.CheckpointHook'),
    check_run=dict(type='hrnet_plugins.CheckRunHook'),
)
