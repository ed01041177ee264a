_base_ = './det_runtime.py'

# For schedules that count iterations.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
