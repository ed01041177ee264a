_base_ = './fcn_hrnetv2_align-corners.py'

aux_weight = 0.4

# The recipe restates the two heads, as lists are replaced: dict(_base_.model.decode_head[0], num_classes=..., ...).
model = dict(
    type='hrnet_plugins.OCRSegmentor',
    decode_head=[
        dict(type='hrnet_plugins.HRNetV2Head', align_corners=True),
        dict(type='hrnet_plugins.OCRHead', channels=512, ocr_channels=256, dropout_ratio=0.05, align_corners=True),
    ],
)
