# HRNet-FCOS's, in iterations of 16 images. What has "bias" in its name, those of the norms too, learns at twice the
# rate and without decay; mmengine's bias_lr_mult would leave the norms out.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=180000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
param_scheduler = [
    dict(type='ConstantLR', factor=1 / 3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', begin=0, end=180000, by_epoch=False, milestones=[120000, 160000], gamma=0.1),
]
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
