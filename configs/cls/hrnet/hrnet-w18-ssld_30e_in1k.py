_base_ = [
    '../../_base_/models/hrnet_cls.py',
    '../../_base_/hrnet_w18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py',
    '../../_base_/schedules/imagenet_sgd_finetune_30e.py',
    '../../_base_/cls_runtime.py',
]
model = dict(
    backbone=dict(type=_base_.hrnet.type, arch=_base_.hrnet.arch),
    neck=[dict(_base_.model.neck[0], in_channels=_base_.hrnet_channels), _base_.model.neck[1]],
)
load_from = 'hrnet://cls_w18_ssld'
