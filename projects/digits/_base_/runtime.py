_base_ = '../../../configs/_base_/det_runtime.py'

default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=1),
)
randomness = dict(seed=0)
