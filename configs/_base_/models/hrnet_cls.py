# The classification head of the HRNet-C models. The recipe adds the width: backbone=_base_.hrnet, and the neck's
# in_channels=_base_.hrnet_channels. The linear layer starts as PyTorch starts it, as in the official code.
model = dict(
    type='ImageClassifier',
    neck=[
        dict(type='hrnet_plugins.HRFuseScales', out_channels=2048),
        dict(type='GlobalAveragePooling'),
    ],
    head=dict(
        type='LinearClsHead',
        in_channels=2048,
        num_classes=1000,
        init_cfg=None,
        loss=dict(type='CrossEntropyLoss'),
        topk=(1, 5),
    ),
)
