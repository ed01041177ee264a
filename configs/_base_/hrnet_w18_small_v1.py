hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w18_small_v1',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w18_small_v1'),
)
hrnet_channels = [16, 32, 64, 128]
