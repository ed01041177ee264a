_base_ = [
    '../../configs/_base_/models/fcn_hrnetv2.py',
    '../../configs/_base_/hrnet_w18_small_v1.py',
    '_base_/digits_semantic.py',
]

model = dict(
    backbone=dict(type=_base_.hrnet.type, arch=_base_.hrnet.arch),  # from scratch
    decode_head=dict(in_channels=_base_.hrnet_channels, num_classes=_base_.num_classes, loss_decode=_base_.loss),
    test_cfg=_base_.fused_test,
)
