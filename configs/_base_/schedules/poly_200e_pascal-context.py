_base_ = './poly.py'

epochs = 200
optim_wrapper = dict(
    optimizer=dict(lr=0.001, weight_decay=0.0001),
    # The head, and with OCR both heads, learn ten times faster.
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10)}),
)
param_scheduler = [dict(_base_.param_scheduler[0], end=epochs)]
train_cfg = dict(max_epochs=epochs)
auto_scale_lr = dict(enable=False, base_batch_size=16)
