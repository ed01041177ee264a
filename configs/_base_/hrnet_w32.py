hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w32',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w32'),
)
hrnet_channels = [32, 64, 128, 256]
