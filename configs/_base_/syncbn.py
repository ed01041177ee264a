# For model.backbone: batch norm over all GPUs that learns its statistics, which mmdet's norm_eval would freeze.
syncbn = dict(norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False)
custom_hooks = [dict(type='hrnet_plugins.SyncBNFallbackHook')]
