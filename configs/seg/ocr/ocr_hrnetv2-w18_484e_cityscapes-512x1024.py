_base_ = [
    '../../_base_/models/ocr_hrnetv2.py',
    '../../_base_/hrnet_w18.py',
    '../../_base_/datasets/cityscapes.py',
    '../../_base_/schedules/poly_484e_cityscapes.py',
    '../../_base_/seg_runtime.py',
]
head = dict(in_channels=_base_.hrnet_channels, num_classes=_base_.num_classes)
aux_loss = dict(_base_.aux_loss, loss_weight=_base_.aux_weight)
model = dict(
    backbone=_base_.hrnet,
    decode_head=[
        dict(_base_.model.decode_head[0], **head, loss_decode=aux_loss),
        dict(_base_.model.decode_head[1], **head, loss_decode=_base_.loss),
    ],
    test_cfg=_base_.fused_test,
)
