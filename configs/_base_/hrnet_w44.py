hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w44',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w44'),
)
hrnet_channels = [44, 88, 176, 352]
