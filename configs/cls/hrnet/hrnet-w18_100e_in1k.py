_base_ = [
    '../../_base_/models/hrnet_cls.py',
    '../../_base_/hrnet_w18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py',
    '../../_base_/schedules/imagenet_sgd_100e.py',
    '../../_base_/cls_runtime.py',
]
model = dict(
    backbone=dict(type=_base_.hrnet.type, arch=_base_.hrnet.arch),  # from scratch: a child may add init_cfg
    neck=[dict(_base_.model.neck[0], in_channels=_base_.hrnet_channels), _base_.model.neck[1]],
)
