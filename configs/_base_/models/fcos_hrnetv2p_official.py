_base_ = './fcos_official.py'

# The recipe adds the width, and where it has 6 levels: neck=dict(num_outs=6, stride=1), bbox_head=_base_.levels_6.
model = dict(neck=dict(type='hrnet_plugins.HRFPN', stride=2))
