_base_ = './fcos_mmdet1.py'

# HRNet-FCOS (maskrcnn-benchmark) in addition: towers with a bias before their group norm, NMS at 0.6.
model = dict(
    bbox_head=dict(conv_bias=True),
    test_cfg=dict(nms=dict(iou_threshold=0.6)),
)
