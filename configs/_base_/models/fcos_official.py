_base_ = './fcos.py'

# HRNet-FCOS (maskrcnn-benchmark): BGR input with unit deviation, towers with a bias before their group norm, NMS at
# 0.6. It ranks candidates by class score times centerness where mmdet ranks by class score, so none is cut before the
# two are multiplied.
model = dict(
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0]),
    bbox_head=dict(conv_bias=True),
    test_cfg=dict(nms_pre=100000, nms=dict(iou_threshold=0.6)),
)
