_base_ = [
    '../../_base_/models/fcos_resnet_official.py',
    'mmdet::_base_/datasets/coco_detection.py',
    '../../_base_/schedules/fcos_2x_official.py',
    '../../_base_/iter_runtime.py',
]
model = dict(
    backbone=dict(
        depth=50,
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron/resnet50_caffe'),
    ),
    neck=dict(start_level=0, num_outs=6),
    bbox_head=_base_.levels_6,
)
