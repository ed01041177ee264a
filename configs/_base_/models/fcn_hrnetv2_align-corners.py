_base_ = './fcn_hrnetv2.py'

# As on COCO-Stuff and ADE20K; Cityscapes, LIP and PASCAL-Context were trained without (their published yaml files).
model = dict(backbone=dict(align_corners=True), decode_head=dict(align_corners=True))
