_base_ = './fcos_2x_official.py'

train_cfg = dict(max_iters=270000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=270000, milestones=[180000, 240000]),
]
