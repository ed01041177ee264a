hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w30',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w30'),
)
hrnet_channels = [30, 60, 120, 240]
