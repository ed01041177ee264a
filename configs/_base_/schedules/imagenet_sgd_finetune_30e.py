_base_ = './imagenet_sgd_100e.py'

# What PaddleClas used to finish distilled models of this size on ImageNet-1k: 0.004 for 1024 images, cosine.
optim_wrapper = dict(optimizer=dict(lr=0.0005, nesterov=False, weight_decay=7e-5))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', by_epoch=True, T_max=30)
train_cfg = dict(max_epochs=30)
