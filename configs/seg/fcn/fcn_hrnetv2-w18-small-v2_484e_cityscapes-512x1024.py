_base_ = [
    '../../_base_/models/fcn_hrnetv2.py',
    '../../_base_/hrnet_w18_small_v2.py',
    '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/poly_484e_cityscapes.py',
    '../../_base_/seg_runtime.py',
]
model = dict(
    backbone=_base_.hrnet,
    decode_head=dict(in_channels=_base_.hrnet_channels, num_classes=_base_.num_classes, loss_decode=_base_.loss),
    test_cfg=_base_.fused_test,
)
