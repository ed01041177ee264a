hrnet = dict(
    type='hrnet_plugins.HRNet',
    arch='w40',
    init_cfg=dict(type='Pretrained', checkpoint='hrnet://w40'),
)
hrnet_channels = [40, 80, 160, 320]
