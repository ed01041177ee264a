_base_ = './seg_crops.py'

num_classes = 19
crop_size = (512, 1024)
base_size = 2048
data_root = 'data/cityscapes/'
class_weight = [
    *(0.8373, 0.918, 0.866, 1.0345, 1.0166, 0.9969, 0.9754, 1.0489, 0.8786, 1.0023),
    *(0.9539, 0.9843, 1.1116, 0.9037, 1.0865, 1.0955, 1.0865, 1.1529, 1.0507),
]
loss = dict(type='hrnet_plugins.CrossEntropy', class_weight=class_weight)
aux_loss = loss

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(_base_.train_pipeline[2], scales=[(int(base_size * i / 10 + 0.5),) * 2 for i in range(5, 22)]),
    dict(_base_.train_pipeline[3], size=crop_size[::-1]),
    dict(_base_.train_pipeline[4], crop_size=crop_size),
    *_base_.train_pipeline[5:],
]
train_dataloader = dict(
    batch_size=3,
    dataset=dict(
        type='hrnet_plugins.CityscapesDataset',
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='hrnet_plugins.CityscapesDataset',
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
    ),
)
test_dataloader = val_dataloader

fused_test = dict(base_size=base_size, crop_size=(1024, 2048), windows='shifted')
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(int(base_size * scale + 0.5),) * 2, keep_ratio=True)
                for scale in [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
            ],
            *_base_.tta_pipeline[1].transforms[1:],
        ],
    ),
]
