_base_ = './imagenet_sgd_100e.py'

param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=True, T_max=300)
train_cfg = dict(max_epochs=300)
