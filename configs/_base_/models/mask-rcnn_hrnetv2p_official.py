_base_ = './mask-rcnn_hrnetv2p_mmdet1.py'

# HRNet-Object-Detection (mmdet 0.6) has the conventions of mmdet 1, and tests 2000 proposals.
model = dict(test_cfg=dict(rpn=dict(nms_pre=2000, max_per_img=2000)))
