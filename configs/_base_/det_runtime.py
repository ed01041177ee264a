_base_ = 'mmdet::_base_/default_runtime.py'

# A kill at any moment loses no checkpoint, and wrong data and configs are told before the first step.
default_hooks = dict(
    checkpoint=dict(type='hrnet_plugins.CheckpointHook'),
    check_run=dict(type='hrnet_plugins.CheckRunHook'),
)
