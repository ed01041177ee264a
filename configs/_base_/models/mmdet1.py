# The conventions of mmdet 1, under which its weights and those of HRNet-Object-Detection (mmdet 0.6) score as
# published: boxes end one pixel further (x2 = x1 + w - 1), and RoIAlign takes 2x2 samples a bin and shifts by no half
# pixel. mmdet keeps these as its legacy classes; its RoIAlign still ends a box one pixel earlier.
# A model fragment takes this with _base_.pop(), so that no recipe carries it beside its model.
mmdet1 = dict(
    rpn_head=dict(
        anchor_generator=dict(type='LegacyAnchorGenerator', center_offset=0.5),
        bbox_coder=dict(type='LegacyDeltaXYWHBBoxCoder'),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(roi_layer=dict(sampling_ratio=2, aligned=False)),
        bbox_head=dict(bbox_coder=dict(type='LegacyDeltaXYWHBBoxCoder')),
    ),
)
