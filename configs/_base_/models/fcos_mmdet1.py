_base_ = './fcos.py'

# mmdet 1 and HRNet-FCOS: BGR input with unit deviation. Both rank candidates by class score times centerness where
# mmdet ranks by class score, so none is cut before the two are multiplied.
model = dict(
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717], std=[1.0, 1.0, 1.0]),
    test_cfg=dict(nms_pre=100000),
)
