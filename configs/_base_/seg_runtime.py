default_scope = 'mmseg'
custom_imports = dict(imports=['hrnet_plugins.seg'])

# Batch norms are synchronised in distributed training, and only there. On CPUs, where they cannot be, the hook says so.
sync_bn = 'torch'
custom_hooks = [dict(type='hrnet_plugins.SyncBNFallbackHook')]

default_hooks = dict(
    logger=dict(type='LoggerHook', interval=50),
    checkpoint=dict(type='hrnet_plugins.CheckpointHook', interval=10, save_best='mIoU', max_keep_ckpts=3),
    check_run=dict(type='hrnet_plugins.CheckRunHook'),
    visualization=dict(type='SegVisualizationHook'),
)
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_level = 'INFO'
load_from = None
resume = False

# For --tta, mmseg's own fusion; without it a recipe tests as published.
tta_model = dict(type='hrnet_plugins.AveragedTest')
