"""Padding in mmdet's own preprocessor, and what its anchors make of it."""

import copy

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData

from hrnet_plugins.det import BatchOrientedPad

NORMALISE = dict(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0], bgr_to_rgb=True)


def batch(*shapes, masks='bitmap'):
    """Images (3, h, w) in 0..255 with a box, a mask and a semantic map each, as mmdet's pipeline packs them."""
    from mmdet.structures import DetDataSample  # noqa: PLC0415
    from mmdet.structures.mask import BitmapMasks, PolygonMasks  # noqa: PLC0415

    inputs, samples = [], []
    for h, w in shapes:
        sample = DetDataSample(metainfo=dict(img_shape=(h, w)))
        square = np.array([2.0, 2, 9, 2, 9, 9, 2, 9])
        drawn = BitmapMasks(np.ones((1, h, w), np.uint8), h, w)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[2.0, 2, 9, 9]]),
            labels=torch.zeros(1, dtype=torch.long),
            masks=drawn if masks == 'bitmap' else PolygonMasks([[square]], h, w),
        )
        sample.gt_sem_seg = PixelData(metainfo=dict(ignore_index=255), sem_seg=torch.ones(1, h, w, dtype=torch.uint8))
        inputs.append(torch.full((3, h, w), 200, dtype=torch.uint8))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def preprocessor(augment, **options):
    init_default_scope('mmdet')
    from mmdet.registry import MODELS  # noqa: PLC0415

    cfg = dict(type='DetDataPreprocessor', **NORMALISE, batch_augments=[augment], **options)
    return MODELS.build(cfg)


def oriented(long_side=64, short_side=48, **options):
    return dict(type='hrnet_plugins.BatchOrientedPad', long_side=long_side, short_side=short_side, **options)


@pytest.mark.parametrize('masks', ['bitmap', 'polygon'])
@pytest.mark.parametrize('mmdet_pads', [False, True])
@pytest.mark.parametrize(
    ('shapes', 'size'),
    [
        ([(40, 30), (50, 20)], (64, 48)),
        ([(30, 40), (20, 60)], (48, 64)),
        ([(40, 40)], (64, 48)),  # a square stands upright, as published
        ([(64, 48), (40, 48)], (64, 48)),
    ],
    ids=str,
)
def test_pads_inputs_masks_and_maps(shapes, size, mmdet_pads, masks):
    process = preprocessor(oriented(), pad_mask=mmdet_pads, pad_seg=mmdet_pads)
    out = process(batch(*shapes, masks=masks), training=True)
    assert out['inputs'].shape == (len(shapes), 3, *size)
    for image, sample, (h, w) in zip(out['inputs'], out['data_samples'], shapes, strict=True):
        assert torch.allclose(image[:, :h, :w], torch.tensor([2.0, 1.5, 8 / 7]).view(3, 1, 1))
        assert not image[:, h:].any() and not image[:, :, w:].any()
        assert sample.batch_input_shape == size
        assert sample.pad_shape == sample.img_shape == (h, w)
        assert (sample.gt_instances.masks.height, sample.gt_instances.masks.width) == size
        assert sample.gt_instances.masks.areas[0] == (h * w if masks == 'bitmap' else 49)
        semantic = sample.gt_sem_seg.sem_seg[0]
        assert semantic.shape == size
        assert (semantic[:h, :w] == 1).all() and (semantic == 1).sum() == h * w
        assert (semantic == 255).sum() == size[0] * size[1] - h * w
        assert mmdet_pads or sample.gt_sem_seg.ignore_index == 255  # which mmdet's own padding drops


def test_only_in_training():
    out = preprocessor(oriented())(batch((40, 30)), training=False)
    assert out['inputs'].shape[-2:] == (40, 30)


def test_without_samples_and_with_another_value():
    inputs, samples = BatchOrientedPad(8, 4, pad_value=-1)(torch.zeros(1, 1, 3, 5))
    assert samples is None
    assert inputs.shape == (1, 1, 4, 8) and (inputs == -1).sum() == 4 * 8 - 3 * 5


def test_anchors_in_the_padding_are_invalid():
    """The fixed padding of mmdet declares them valid; ours leaves valid those that were so without any padding."""
    fixed = dict(type='BatchFixedSizePad', size=(64, 128))
    init_default_scope('mmdet')
    from mmdet.registry import MODELS  # noqa: PLC0415

    anchors = dict(type='AnchorGenerator', scales=[8], ratios=[1.0], strides=[8, 16])
    head = MODELS.build(dict(type='RPNHead', in_channels=4, feat_channels=4, anchor_generator=anchors))

    def valid(augment):
        samples = preprocessor(augment)(batch((32, 100), (64, 48)), training=True)['data_samples']
        metas = [copy.deepcopy(sample.metainfo) for sample in samples]
        assert all(meta['batch_input_shape'] == (64, 128) for meta in metas)
        _, flags = head.get_anchors([(8, 16), (4, 8)], metas, device='cpu')
        return [[int(level.sum()) for level in image] for image in flags]

    assert valid(oriented(128, 64)) == [[4 * 13, 2 * 7], [8 * 6, 4 * 3]]
    assert valid(fixed) == [[8 * 16, 4 * 8]] * 2


@pytest.mark.parametrize('shape', [(65, 40), (40, 65), (50, 50)], ids=str)
def test_too_large_says_what_to_do(shape):
    expected = rf'{shape[0]}x{shape[1]}.*`long_side` \(64\).*`short_side` \(48\).*AspectRatioBatchSampler'
    with pytest.raises(ValueError, match=expected):
        preprocessor(oriented())(batch(shape), training=True)


@pytest.mark.parametrize('sides', [(48, 64), (64, 0), (-1, -2)], ids=str)
def test_sides_are_checked(sides):
    with pytest.raises(ValueError, match=r'`long_side`.*`short_side`'):
        BatchOrientedPad(*sides)
