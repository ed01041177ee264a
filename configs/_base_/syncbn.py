# For model.backbone: batch norm over all GPUs that learns its statistics, which mmdet's norm_eval would freeze.
# On CPUs, where there is no such norm, the wrapper puts plain batch norm in its place and the hook says so.
syncbn = dict(norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False)
model_wrapper_cfg = dict(type='hrnet_plugins.AnyDeviceDDP')
custom_hooks = [dict(type='hrnet_plugins.SyncBNFallbackHook')]
