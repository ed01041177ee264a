_base_ = './poly.py'

epochs = 150
optim_wrapper = dict(optimizer=dict(lr=0.007, weight_decay=0.0005))
param_scheduler = [dict(_base_.param_scheduler[0], end=epochs)]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(enable=False, base_batch_size=40)
