# HRNet and its pyramid in the place of a detector's ResNet and FPN; the recipe adds the width:
# backbone=_base_.hrnet, neck=dict(in_channels=_base_.hrnet_channels).
# A model fragment takes this with _base_.pop(), so that no recipe carries it beside its model.
hrnetv2p = dict(
    backbone=dict(_delete_=True, norm_eval=True),
    neck=dict(_delete_=True, type='hrnet_plugins.HRFPN', out_channels=256, num_outs=5),
)
