_base_ = './hrnet_cls.py'

# Every batch mixed, as in the paper of CutMix (arXiv:1905.04899), and a loss for the shared labels.
model = dict(
    head=dict(loss=dict(use_soft=True)),
    train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)),
)
