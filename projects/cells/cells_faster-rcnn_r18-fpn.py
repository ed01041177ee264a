# mmdetection's ResNet-18 with FPN in the place of HRNet with HRFPN: all else is that of cells_faster-rcnn.py.
_base_ = './cells_faster-rcnn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        zero_init_residual=True,
    ),
    neck=dict(_delete_=True, type='FPN', in_channels=[64, 128, 256, 512], out_channels=128, num_outs=5),
)
