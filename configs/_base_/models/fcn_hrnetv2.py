# The recipe adds the width, the classes, the loss and the test:
# backbone=_base_.hrnet, decode_head=dict(in_channels=_base_.hrnet_channels, ...), test_cfg=_base_.fused_test.
model = dict(
    type='hrnet_plugins.HRNetSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size_divisor=1,  # crops are all of one size already
    ),
    backbone=dict(upsample='bilinear', align_corners=False),
    decode_head=dict(type='hrnet_plugins.HRNetV2Head', align_corners=False),
)
