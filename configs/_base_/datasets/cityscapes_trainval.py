_base_ = './cityscapes.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[
            _base_.train_dataloader.dataset,
            dict(_base_.train_dataloader.dataset, data_prefix=_base_.val_dataloader.dataset.data_prefix),
        ],
    )
)
# The test images have no public labels: the predictions are written as files for the test server.
test_dataloader = dict(
    dataset=dict(
        data_prefix=dict(_delete_=True, img_path='leftImg8bit/test'),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )
)
test_evaluator = dict(_delete_=True, type='hrnet_plugins.LabelFiles', output_dir='work_dirs/cityscapes_test')
