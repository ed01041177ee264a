_base_ = [
    '../../_base_/models/fcn_hrnetv2.py',
    '../../_base_/hrnet_w48.py',
    '../../_base_/datasets/pascal-context-60_480x480.py',
    '../../_base_/schedules/poly_200e_pascal-context.py',
    '../../_base_/seg_runtime.py',
]
# This row was trained by another branch of the official code: its batch norms move by 0.01 a step, and the head
# learns no faster than the rest.
norm_cfg = dict(type='BN', momentum=0.01)
optim_wrapper = dict(optimizer=dict(lr=0.004), paramwise_cfg=None)
model = dict(
    backbone=dict(_base_.hrnet, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=_base_.hrnet_channels,
        num_classes=_base_.num_classes,
        norm_cfg=norm_cfg,
        loss_decode=_base_.loss,
    ),
    test_cfg=_base_.fused_test,
)
