hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w18',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w18'),
)
hrnet_channels = [18, 36, 72, 144]
