"""Our models against stored outputs of the official networks, for a state dict made by the stored rule."""

import torch
from support import assert_equal, filled, image, reference

from hrnet_plugins.models import HRFPN, HRNet


def test_detection_backbone_and_neck():
    case, expected = reference('det_w18')
    state = filled(dict(case['keys']))
    backbone, neck = HRNet('w18'), HRFPN([18, 36, 72, 144])
    backbone.load_state_dict({k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')})
    names = (
        ('reduction_conv.0.', 'reduction_conv.conv.'),
        *((f'fpn_conv.{i}.', f'fpn_convs.{i}.conv.') for i in range(5)),
    )
    renamed = {}
    for key, value in state.items():
        for old, new in names:
            if key.startswith(f'neck.{old}'):
                renamed[key.replace(f'neck.{old}', new)] = value
    neck.load_state_dict(renamed)
    with torch.inference_mode():
        feats = backbone.eval()(image(tuple(case['input'])))
        pyramid = neck.eval()(feats)
    for i, out in enumerate(feats):
        assert_equal(out, expected[f'stage4_{i}'])
    for i, out in enumerate(pyramid):
        assert_equal(out, expected[f'fpn{i}'])
