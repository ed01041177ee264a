hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w48',
    init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://msra/hrnetv2_w48'),
)
hrnet_channels = [48, 96, 192, 384]
