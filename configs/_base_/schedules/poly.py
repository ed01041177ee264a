# From the learning rate to zero by the power of 0.9, at every iteration; no warm-up, no clipping, and weight decay on
# every parameter. The recipe's own schedule says how long and how fast.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', momentum=0.9))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0, begin=0, by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(type='EpochBasedTrainLoop', val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
