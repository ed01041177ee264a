hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w18_small_v2',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w18_small_v2'),
)
hrnet_channels = [18, 36, 72, 144]
