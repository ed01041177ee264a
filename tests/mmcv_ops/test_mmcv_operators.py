"""Our operators give what mmcv's compiled ones give: what was recorded of them, and they themselves where they are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrnet_plugins.mmcv_ops import extension
from tests.mmcv_ops.cases import CASES, FLOAT_ONLY, REFERENCE, compiled, dtypes, has_ties, normal

RUNS = [pytest.param(name, dtype, id=f'{name}, {dtype}') for name in CASES for dtype in dtypes(name)]
RECORDED = [name for name in CASES if not has_ties(name)]
needs_compiled = pytest.mark.skipif(compiled() is None, reason='mmcv is not compiled here')


def assert_same(ours, theirs):
    """The same indices; numbers within 1e-5 of the largest; NaN where the other has it."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if not theirs.is_floating_point():
        assert torch.equal(ours, theirs)
        return
    assert torch.equal(ours.isnan(), theirs.isnan())
    ours, theirs = ours.nan_to_num(), theirs.nan_to_num()
    if theirs.numel():
        assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


@pytest.fixture(scope='module')
def recorded():
    with np.load(REFERENCE) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def test_record_is_of_these_cases(recorded):
    assert {name.rsplit('/', 1)[0] for name in recorded} == set(RECORDED)
    assert sum(bool(tensor.any()) for tensor in recorded.values()) > 0.7 * len(recorded), 'few are empty or zero'


@pytest.mark.parametrize('name', RECORDED)
def test_as_recorded(name, recorded):
    for i, ours in enumerate(CASES[name](extension, torch.float32)):
        assert_same(ours, recorded[f'{name}/{i}'])


@needs_compiled
@pytest.mark.parametrize(('name', 'dtype'), RUNS)
def test_as_compiled(name, dtype):
    for ours, theirs in zip(CASES[name](extension, dtype), CASES[name](compiled(), dtype), strict=True):
        assert_same(ours, theirs)


class InFloat32:
    """An extension whose operators compute in float32 and round what they write once."""

    def __init__(self, ops):
        self.ops = ops

    def __getattr__(self, name):
        def operator(*args, **options):
            wide = [arg.float() if torch.is_tensor(arg) else arg for arg in args]
            getattr(self.ops, name)(*wide, **options)
            for arg, result in zip(args, wide, strict=True):
                arg.copy_(result)

        return operator


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('name', [name for name in CASES if name.split(',')[0] not in FLOAT_ONLY])
def test_short_types_are_rounded_once(name, dtype):
    """On a CPU mmcv rounds float16 at each step and has no bfloat16; ours compute in float32."""
    wide = CASES[name](InFloat32(compiled() or extension), dtype)
    for ours, theirs in zip(CASES[name](extension, dtype), wide, strict=True):
        assert ours.dtype == dtype
        if name.startswith('bbox_overlaps'):  # of torch's own operators, in mmcv too
            assert torch.allclose(ours, theirs, atol=16 * torch.finfo(dtype).eps, equal_nan=True)
        elif theirs.numel():
            assert (ours.float() - theirs.float()).abs().max() <= torch.finfo(dtype).eps * theirs.abs().max()


@needs_compiled
def test_compiled_has_no_bfloat16_here():
    with pytest.raises(RuntimeError, match='BFloat16'):
        CASES['roi_align, plain'](compiled(), torch.bfloat16)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16, torch.bfloat16])
def test_nms_of_other_types(dtype):
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 30]], dtype=dtype)
    scores = torch.tensor([0.5, 0.75, 0.25], dtype=dtype)
    assert extension.nms(boxes, scores, 0.5, 0).tolist() == [1, 2]
    assert extension.nms(boxes, scores, 0.8, 0).tolist() == [1, 0, 2], 'not above the threshold'
    dets = boxes.new_zeros(3, 5)
    kept = extension.softnms(boxes, scores, dets, 0.3, 0.5, 1e-3, 1, 0)
    assert kept.tolist() == [1, 2, 0]
    assert dets[2, 4].item() == pytest.approx(0.1, rel=0.01)


# On a grid of eighths everything but the quotient is exact, and equal overlaps, scores and boxes are common.
coordinates = st.integers(-40, 80).map(lambda n: n / 8)
lengths = st.integers(0, 40).map(lambda n: n / 8)
any_boxes = st.lists(
    st.tuples(coordinates, coordinates, lengths, lengths, st.integers(0, 20).map(lambda n: n / 20)), max_size=40
)


def tensors(found):
    rows = torch.tensor(found, dtype=torch.float32).view(-1, 5)
    rows[:, 2:4] += rows[:, :2]
    return rows[:, :4].contiguous(), rows[:, 4].contiguous()


def overlap(a, b, offset):
    """In float32, one number at a time."""
    one = np.float32
    area_a, area_b = ((box[2] - box[0] + one(offset)) * (box[3] - box[1] + one(offset)) for box in (a, b))
    width = max(one(0), min(a[2], b[2]) - max(a[0], b[0]) + one(offset))
    height = max(one(0), min(a[3], b[3]) - max(a[1], b[1]) + one(offset))
    with np.errstate(invalid='ignore', divide='ignore'):
        return width * height / (area_a + area_b - width * height)


@settings(deadline=None, max_examples=60)
@given(any_boxes, st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.7, 1.0]), st.integers(0, 1))
def test_any_boxes_suppress_as_a_loop_does(found, threshold, offset):
    boxes, scores = tensors(found)
    rows, kept = boxes.numpy(), []
    for i in scores.sort(descending=True).indices.tolist():
        if not any(overlap(rows[j], rows[i], offset) > np.float32(threshold) for j in kept):
            kept.append(i)
    assert extension.nms(boxes, scores, threshold, offset).tolist() == kept
    if compiled():
        assert compiled().nms(boxes, scores, threshold, offset).tolist() == kept


@needs_compiled
@settings(deadline=None, max_examples=60)
@given(any_boxes, st.integers(0, 2), st.integers(0, 1), st.sampled_from([0.0, 1e-3, 0.4, 2.0]))
def test_any_boxes_soften_and_match_as_compiled(found, method, offset, min_score):
    boxes, scores = tensors(found)
    results = []
    for ops in (extension, compiled()):
        dets = torch.zeros(len(boxes), 5)
        kept = ops.softnms(boxes, scores, dets, 0.3, 0.5, min_score, method, offset)
        results.append((kept, dets[: len(kept)]))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)
    if len(boxes):
        dets = torch.cat([boxes, scores[:, None]], 1)
        assert extension.nms_match(dets, 0.3) == compiled().nms_match(dets, 0.3)


@needs_compiled
@settings(deadline=None, max_examples=60)
@given(
    any_boxes,
    st.sampled_from([1.0, 0.5, 0.25]),
    st.sampled_from([(1, 1), (7, 7), (2, 5)]),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_any_regions_align_as_compiled(found, scale, size, ratio, aligned, dtype):
    boxes, scores = tensors(found)
    rois = torch.cat([(scores * 20 % 2).floor()[:, None], boxes], 1).to(dtype)
    x = normal(0, 2, 3, 6, 9, dtype=dtype)
    options = dict(
        aligned_height=size[0], aligned_width=size[1], spatial_scale=scale, sampling_ratio=ratio, pool_mode=1,
        aligned=aligned,
    )  # fmt: skip
    results = []
    for ops in (extension, compiled()):
        output, gradient, empty = x.new_zeros(len(rois), 3, *size), torch.zeros_like(x), x.new_zeros(0)
        ops.roi_align_forward(x, rois, output, empty, empty, **options)
        ops.roi_align_backward(output + 1, rois, empty, empty, gradient, **options)
        results.append((output, gradient))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize(
    ('rois', 'message'),
    [
        ([[0, 1, 1, 5, 5], [2, 1, 1, 5, 5]], '`rois` name maps 0 to 2, and there are 2'),
        ([[-1, 1, 1, 5, 5]], '`rois` name maps -1 to -1, and there are 2'),
        ([[math.nan, 1, 1, 5, 5]], '`rois` name maps'),
        ([[0, 5, 1, 1, 5]], 'some are of negative size'),
        ([[0, 1, math.nan, 5, 5]], 'some are of negative size'),
    ],
)
def test_regions_that_cannot_be_are_refused(rois, message):
    """Compiled, mmcv reads beyond its maps for the first, and refuses negative sizes too."""
    x = normal(0, 2, 3, 6, 9)
    with pytest.raises(ValueError, match=message):
        extension.roi_align_forward(x, torch.tensor(rois), x.new_zeros(len(rois), 3, 2, 2), x, x, 2, 2, 1.0, 0, 1, True)


def test_negative_sizes_are_points_where_not_aligned():
    x, output = normal(0, 1, 1, 6, 9), torch.zeros(2, 1, 2, 2)
    rois = torch.tensor([[0, 5, 4, 1, 2], [0, 5, 4, 5, 4.0]])
    extension.roi_align_forward(x, rois, output, x, x, 2, 2, 1.0, 0, 1, False)
    assert output.any()
    assert torch.equal(output[0], output[1])


def test_maps_in_any_memory_format():
    x, rois = normal(0, 2, 4, 9, 9), torch.tensor([[0, 1, 1, 7, 7], [1, 2, 0, 8, 5.0]])
    outputs = []
    for each in (x, x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        output = torch.zeros(2, 4, 3, 3)
        extension.roi_align_forward(each, rois, output, x, x, 3, 3, 1.0, 2, 1, True)
        outputs.append(output)
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
