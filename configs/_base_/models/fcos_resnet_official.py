_base_ = './fcos_official.py'

# The baseline of HRNet-FCOS: ResNet with frozen norms and first stage, FPN with its last levels from P5.
# The recipe adds depth and weights, and where it has 6 levels: neck=dict(start_level=0, num_outs=6),
# bbox_head=_base_.levels_6.
model = dict(
    backbone=dict(
        type='ResNet',
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        style='caffe',
    ),
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        start_level=1,
        add_extra_convs='on_output',
        relu_before_extra_convs=True,
    ),
)
