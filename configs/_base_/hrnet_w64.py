hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w64',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w64'),
)
hrnet_channels = [64, 128, 256, 512]
