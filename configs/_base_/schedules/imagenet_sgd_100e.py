_base_ = 'mmpretrain::_base_/schedules/imagenet_bs256.py'

# HRNet-Image-Classification: no warm-up, decay on every parameter, steps at 30, 60 and 90 of 100 epochs, batch norm
# over the 32 images of each of four GPUs. The learning rate is for their 128 images and follows the batch by itself:
# 0.0125 on one GPU, 0.1 on eight, with 32 images each.
optim_wrapper = dict(optimizer=dict(lr=0.05, nesterov=True))
auto_scale_lr = dict(base_batch_size=128, enable=True)
