_base_ = [
    '../../configs/_base_/models/ocr_hrnetv2.py',
    '../../configs/_base_/hrnet_w18_small_v1.py',
    '_base_/digits_semantic.py',
]

head = dict(in_channels=_base_.hrnet_channels, num_classes=_base_.num_classes)
model = dict(
    backbone=dict(type=_base_.hrnet.type, arch=_base_.hrnet.arch),  # from scratch
    decode_head=[
        dict(_base_.model.decode_head[0], **head, loss_decode=dict(_base_.aux_loss, loss_weight=_base_.aux_weight)),
        dict(_base_.model.decode_head[1], **head, loss_decode=_base_.loss, channels=128, ocr_channels=64),
    ],
    test_cfg=_base_.fused_test,
)
