_base_ = './pascal-context-59.py'

# With the background as a class.
num_classes = 60
dataset_type = 'hrnet_plugins.PascalContext60Dataset'
train_dataloader = dict(dataset=dict(type=dataset_type))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = val_dataloader
