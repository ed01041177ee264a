"""The crop's rule, and that everything in a sample follows it: hypothesis draws images, boxes and arguments."""

import copy

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS, init_default_scope

from hrnet_plugins.det import RandomResizeCrop

SMALL = dict(scales=[(140, 60), (140, 80), (140, 100)], crop=(120, 80), jitter=(1, 3))
PLACEMENT = 1.5
"""Pixels by which a resized edge may lie off its exact place."""


def sample(height, width, boxes, ignored=(), masks='bitmap'):
    """An image whose colour tells where a pixel was, and the annotations of mmdet's ``LoadAnnotations``."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns * 255 / width, rows * 255 / height, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    drawn = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(drawn, boxes.astype(int), strict=True):
        mask[y1:y2, x1:x2] = 1
    polygons = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in boxes]
    return dict(
        img=image,
        img_shape=(height, width),
        ori_shape=(height, width),
        gt_bboxes=HorizontalBoxes(boxes),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.array([i in ignored for i in range(len(boxes))], bool),
        gt_instances_ids=[f'box {i}' for i in range(len(boxes))],
        gt_masks=BitmapMasks(drawn, height, width) if masks == 'bitmap' else PolygonMasks(polygons, height, width),
        gt_seg_map=(columns * 16 // width + rows * 16 // height * 16).astype(np.uint8),
    )


def crop_of(results):
    """The resize's factors (x, y) and the crop's first column and row."""
    matrix = results['homography_matrix']
    assert matrix[0, 1] == matrix[1, 0] == 0
    return np.diag(matrix)[:2], -matrix[:2, 2]


@st.composite
def samples(draw):
    height, width = draw(st.integers(40, 300)), draw(st.integers(40, 300))
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x1, y1 = draw(st.integers(0, width - 10)), draw(st.integers(0, height - 10))
        boxes.append((x1, y1, draw(st.integers(x1 + 10, width)), draw(st.integers(y1 + 10, height))))
    ignored = draw(st.sets(st.integers(0, 3)))
    return sample(height, width, boxes, ignored, draw(st.sampled_from(['bitmap', 'polygon'])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=samples(), seed=st.integers(0, 1000))
def test_everything_follows_the_crop(before, seed):
    transform = RandomResizeCrop(**SMALL)
    np.random.seed(seed)
    after = transform(copy.deepcopy(before))
    np.random.seed(seed)
    again = transform(copy.deepcopy(before))
    assert np.array_equal(after['img'], again['img']) and after['gt_instances_ids'] == again['gt_instances_ids']

    resize = TRANSFORMS.build(dict(type='mmdet.Resize', scale=after['scale'], keep_ratio=True, backend='pillow'))
    resized = resize(copy.deepcopy(before))
    height, width = resized['img_shape']
    factors, start = crop_of(after)
    assert np.allclose(factors, resized['scale_factor']) and after['scale_factor'] == resized['scale_factor']
    x, y = start.astype(int)
    h, w = after['img_shape']
    long, short = (120, 80)
    assert (h, w) == (min(height, long if height > width else short), min(width, short if height > width else long))
    assert 0 <= x <= width - w and 0 <= y <= height - h
    assert np.array_equal(after['img'], resized['img'][y : y + h, x : x + w])

    centres = resized['gt_bboxes'].centers.numpy() - (x, y)
    inside = (centres > 0).all(axis=1) & (centres < (w, h)).all(axis=1)
    assert after['gt_bboxes_labels'].tolist() == np.flatnonzero(inside).tolist()
    assert after['gt_instances_ids'] == [f'box {i}' for i in np.flatnonzero(inside)]
    assert np.array_equal(after['gt_ignore_flags'], before['gt_ignore_flags'][inside])
    counting = ~before['gt_ignore_flags']
    assert inside[counting].any() or not counting.any(), 'the box that was drawn is in the crop'

    boxes = after['gt_bboxes']
    expected = before['gt_bboxes'].tensor.numpy()[inside] * np.tile(factors, 2) - (x, y, x, y)
    assert np.allclose(boxes.tensor.numpy(), np.clip(expected, 0, (w, h, w, h)), atol=1e-2)
    assert (boxes.areas > 0).all()
    masks = after['gt_masks']
    assert len(masks) == len(boxes) and (masks.height, masks.width) == (h, w)
    assert np.allclose(masks.get_bboxes(HorizontalBoxes).tensor, boxes.tensor, atol=PLACEMENT)

    rows, columns = np.mgrid[:h, :w]
    source_x = (columns + 0.5 + x) / factors[0] / before['img_shape'][1]  # 0..1
    source_y = (rows + 0.5 + y) / factors[1] / before['img_shape'][0]
    assert np.abs(after['img'][..., 0] / 255 - source_x).max() < 3 / 40
    assert np.abs(after['img'][..., 1] / 255 - source_y).max() < 3 / 40
    assert after['gt_seg_map'].shape == (h, w)
    assert np.abs((after['gt_seg_map'] % 16 + 0.5) / 16 - source_x).max() < 0.5 / 16 + 1 / 40
    assert np.abs((after['gt_seg_map'] // 16 + 0.5) / 16 - source_y).max() < 0.5 / 16 + 1 / 40


def starts(boxes, ignored=(), draws=150, size=(60, 100), **options):
    """Where the crop's centre lies from the image's, over many draws at a scale that changes nothing."""
    transform = RandomResizeCrop([(size[1], size[0])], crop=(30, 20), **options)
    np.random.seed(0)
    crops = [crop_of(transform(sample(*size, boxes, ignored)))[1] for _ in range(draws)]
    return np.array(crops) + np.array([15 - size[1] / 2, 10 - size[0] / 2])


@pytest.mark.parametrize(
    ('boxes', 'ignored', 'centre'),
    [
        ([(45, 25, 55, 35)], (), (0, 0)),
        ([(60, 30, 70, 40)], (), (15, 5)),
        ([], (), (0, 0)),
        ([(60, 30, 70, 40)], (0,), (0, 0)),
        ([(0, 0, 2, 2), (60, 30, 70, 40)], (0,), (15, 5)),
        ([(1, 1, 1, 4), (60, 30, 70, 40)], (), (15, 5)),
    ],
    ids=['middle', 'a box', 'no box', 'only an ignored box', 'not the ignored box', 'not the empty box'],
)
def test_centre_and_jitter(boxes, ignored, centre):
    offsets = starts(boxes, ignored, jitter=(3, 5)) - centre
    assert set(offsets[:, 0]) == set(range(-5, 5))
    assert set(offsets[:, 1]) == set(range(-3, 3))
    assert (starts(boxes, ignored, draws=5, jitter=(0, 0)) == centre).all()


def test_every_box_is_drawn_and_the_crop_stays_inside():
    offsets = starts([(0, 0, 2, 2), (45, 25, 55, 35), (98, 59, 100, 60)], jitter=(0, 0), draws=60)
    assert {tuple(offset) for offset in offsets} == {(-35, -20), (0, 0), (35, 20)}


def test_without_annotations():
    plain = {key: value for key, value in sample(300, 200, []).items() if not key.startswith('gt_')}
    assert RandomResizeCrop(**SMALL)(plain)['img_shape'] == (120, 80)


@pytest.mark.parametrize(('skip_last_scale', 'drawn'), [(False, {60, 80, 100}), (True, {60, 80})])
def test_scales_drawn(skip_last_scale, drawn):
    transform = RandomResizeCrop(**SMALL, skip_last_scale=skip_last_scale)
    np.random.seed(0)
    assert {transform(sample(100, 100, []))['scale'][1] for _ in range(40)} == drawn


def test_published_defaults():
    transform = RandomResizeCrop()
    assert transform.scales == [(1400, 600), (1400, 800), (1400, 1000)]
    assert (transform.crop, transform.jitter, transform.skip_last_scale) == ((1200, 800), (10, 30), False)
    assert transform.backend == 'pillow'
    np.random.seed(0)
    assert {transform(sample(427, 640, []))['img_shape'] for _ in range(20)} == {(600, 899), (800, 1199), (800, 1200)}
    assert eval(repr(transform)).scales == transform.scales  # noqa: S307


def test_in_mmdets_pipeline():
    init_default_scope('mmdet')
    pipeline = Compose(
        [
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='hrnet_plugins.RandomResizeCrop', **SMALL),
            dict(type='RandomFlip', prob=1.0),
            dict(type='PackDetInputs', meta_keys=('img_shape', 'scale_factor', 'flip', 'homography_matrix')),
        ]
    )
    whole = dict(bbox=[5, 5, 95, 65], bbox_label=2, ignore_flag=0, mask=[[5, 5, 95, 5, 95, 65, 5, 65]])
    crowd = dict(bbox=[20, 20, 60, 60], bbox_label=1, ignore_flag=1, mask=dict(counts=[0, 7000], size=[70, 100]))
    packed = pipeline(dict(img=sample(70, 100, [])['img'], ori_shape=(70, 100), height=70, width=100,
                           instances=[whole, crowd]))  # fmt: skip
    labels, sample_ = packed['data_samples'].gt_instances.labels, packed['data_samples']
    assert labels.tolist() == [2] and sample_.ignored_instances.labels.tolist() == [1]
    assert packed['inputs'].shape[-2:] == sample_.img_shape == (sample_.gt_instances.masks.height, sample_.img_shape[1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(scales=[(60, 140)]), r'`scales` has \(60, 140\): give \(long side, short side\)'),
        (dict(scales=[140]), r'`scales` has 140: give \(long side, short side\)'),
        (dict(scales=[]), r'`scales` \(\[\]\) leaves none'),
        (dict(scales=[(140, 60)], skip_last_scale=True), r'leaves none to draw, `skip_last_scale` being True'),
        (dict(crop=(80, 120)), r'`crop` has \(80, 120\)'),
        (dict(crop=(80, 0)), r'`crop` has \(80, 0\)'),
        (dict(jitter=(1, 40)), r'`jitter` \(\(1, 40\)\) must be two numbers from 0 to 39'),
        (dict(jitter=(-1, 0)), r'`jitter` \(\(-1, 0\)\)'),
        (dict(backend='torch'), r"`backend` \('torch'\) must be 'pillow' or 'cv2'"),
    ],
    ids=str,
)
def test_arguments_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        RandomResizeCrop(**(SMALL | options))


@pytest.mark.parametrize(
    ('extra', 'message'),
    [
        (dict(gt_keypoints=np.zeros((1, 17, 3))), '`gt_keypoints` cannot follow'),
        (dict(gt_bboxes_labels=np.zeros(3)), '`gt_bboxes_labels` has 3 entries for 1 boxes'),
        (dict(gt_bboxes=np.zeros((1, 4))), "`gt_bboxes` is an array.*box_type='hbox'"),
    ],
    ids=lambda extra: next(iter(extra)) if isinstance(extra, dict) else '',
)
def test_samples_are_checked(extra, message):
    with pytest.raises(ValueError, match=message):
        RandomResizeCrop(**SMALL)(sample(100, 100, [(10, 10, 50, 50)]) | extra)
