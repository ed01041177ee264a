hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w48',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w48'),
)
hrnet_channels = [48, 96, 192, 384]
