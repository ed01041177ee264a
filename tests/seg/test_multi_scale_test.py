"""The published test procedure against a plain reading of the official one, on NumPy and OpenCV."""

import math

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hrnet_plugins.seg.multi_scale_test import MultiScaleTest
from hrnet_plugins.seg.segmentors import TTAModel
from tests.helpers import segmentation as models
from tests.helpers.configs import config_of
from tests.helpers.networks import assert_equal, fill, image

BLACK = torch.tensor([-2.1, -2.0, -1.8])
LIP = [(14, 15), (16, 17), (18, 19)]
SETTINGS = {
    'cityscapes': dict(base_size=128, crop_size=(64, 128), windows='shifted', scales=[0.5, 1.0, 1.75]),
    'whole': dict(base_size=80, crop_size=(80, 80), windows='padded'),
    'windows': dict(base_size=100, crop_size=(60, 60), windows='padded', scales=[0.5, 1.0, 1.5]),
    'narrow': dict(base_size=130, crop_size=(100, 100), windows='padded', scales=[1.0]),
    'lip': dict(base_size=64, crop_size=(64, 64), windows='padded', scales=[1.0], flip=True, flip_pairs=LIP),
}


@pytest.fixture(scope='module')
def model():
    return fill(models.plain(num_classes=20, align_corners=True)).eval()


def logits(model, x):
    with torch.inference_mode():
        return F.interpolate(model(x, mode='tensor'), size=x.shape[2:], mode='bilinear', align_corners=True)


def seen(model, x, flip, pairs):
    """``exp`` of the logits of one window (1, 3, h, w), averaged with those of its mirror image before."""
    found = logits(model, x)
    if flip:
        mirrored = logits(model, torch.from_numpy(x.numpy()[..., ::-1].copy())).numpy()
        swapped = mirrored.copy()
        for a, b in pairs:
            swapped[:, a], swapped[:, b] = mirrored[:, b], mirrored[:, a]
        found = 0.5 * (found + torch.from_numpy(swapped[..., ::-1].copy()))
    return found.exp()


def padded(picture, size):
    height, width = picture.shape[:2]
    below, right = max(size[0] - height, 0), max(size[1] - width, 0)
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_CONSTANT, value=BLACK.tolist())


def as_published(model, x, *, base_size, crop_size, windows, scales=(1.0,), flip=False, flip_pairs=()):
    picture = np.ascontiguousarray(x[0].permute(1, 2, 0).numpy())
    height, width = picture.shape[:2]
    total = 0
    for scale in scales:
        long_side = int(base_size * scale + 0.5)
        if height > width:
            new = long_side, int(width * long_side / height + 0.5)
        else:
            new = int(height * long_side / width + 0.5), long_side
        scaled = cv2.resize(picture, new[::-1], interpolation=cv2.INTER_LINEAR)
        stride = crop_size if windows == 'shifted' else tuple(int(side * 2 / 3) for side in crop_size)
        if windows == 'padded' and min(new) < min(crop_size):
            scaled = padded(scaled, crop_size)
        whole = scale <= 1 if windows == 'shifted' else max(new) <= min(crop_size)
        tensor = torch.from_numpy(scaled).permute(2, 0, 1)[None].contiguous()
        if whole:
            scores = seen(model, tensor, flip, flip_pairs)
        else:
            tall, wide = scaled.shape[:2]
            scores, count = torch.zeros(1, 20, tall, wide), torch.zeros(1, 1, tall, wide)
            for row in range(math.ceil((tall - crop_size[0]) / stride[0]) + 1):
                for column in range(math.ceil((wide - crop_size[1]) / stride[1]) + 1):
                    top, left = row * stride[0], column * stride[1]
                    bottom, right = min(top + crop_size[0], tall), min(left + crop_size[1], wide)
                    if windows == 'shifted':
                        top, left = max(bottom - crop_size[0], 0), max(right - crop_size[1], 0)
                    window = scaled[top:bottom, left:right]
                    if windows == 'padded':
                        window = padded(window, crop_size)
                    window = torch.from_numpy(np.ascontiguousarray(window)).permute(2, 0, 1)[None].contiguous()
                    part = seen(model, window, flip, flip_pairs)
                    scores[:, :, top:bottom, left:right] += part[:, :, : bottom - top, : right - left]
                    count[:, :, top:bottom, left:right] += 1
            scores = scores / count
        scores = scores[:, :, : new[0], : new[1]]
        total = total + F.interpolate(scores, size=(height, width), mode='bilinear', align_corners=True)
    return total


@pytest.mark.parametrize('flip', [False, True], ids=['', 'flip'])
@pytest.mark.parametrize('size', [(48, 96), (70, 61)])
@pytest.mark.parametrize('name', SETTINGS)
def test_scores_are_the_published_ones(model, name, size, flip):
    settings = {**SETTINGS[name], 'flip': flip or SETTINGS[name].get('flip', False)}
    x = image((1, 3, *size))
    with torch.inference_mode():
        found = MultiScaleTest(**settings).scores(lambda x: logits(model, x), x, pad_value=BLACK, align_corners=True)
    assert_equal(found, as_published(model, x, **settings))


def test_segmentor_tests_as_published():
    model = fill(models.plain(num_classes=20, test_cfg=dict(mode='fused', **SETTINGS['windows']))).eval()
    x = image((1, 3, 48, 90))
    (sample,) = models.samples(torch.zeros(1, 50, 94, dtype=torch.long))
    sample.set_metainfo(dict(img_padding_size=(0, 10, 0, 8)))  # right and below
    with torch.inference_mode():
        (result,) = model.predict(x, [sample])
        preprocessor = model.data_preprocessor
        assert_equal(model._black_pixel(x), (torch.zeros(3) - preprocessor.mean.flatten()) / preprocessor.std.flatten())

        def own(x):
            return F.interpolate(model(x, mode='tensor'), size=x.shape[2:], mode='bilinear', align_corners=False)

        settings = MultiScaleTest(**SETTINGS['windows'])
        scores = settings.scores(own, x, pad_value=model._black_pixel(x), align_corners=False)[:, :, :40, :80]
        scores = F.interpolate(scores, size=(50, 94), mode='bilinear', align_corners=False)[0]
    assert_equal(result.seg_logits.data, scores.log())
    assert torch.equal(result.pred_sem_seg.data[0], scores.argmax(0))
    assert_equal(result.seg_logits.data.softmax(0), scores / scores.sum(0))


def test_one_scale_without_flip_is_the_network():
    cfg = dict(mode='fused', base_size=64, crop_size=(64, 64), windows='padded')
    model = fill(models.ocr(test_cfg=cfg)).eval()
    x = image((1, 3, 64, 64))
    with torch.inference_mode():
        (result,) = model.predict(x, models.samples(torch.zeros(1, 64, 64, dtype=torch.long)))
        expected = F.interpolate(model(x, mode='tensor'), size=(64, 64), mode='bilinear', align_corners=True)
    assert_equal(result.seg_logits.data, expected[0], 1e-4)


@pytest.mark.filterwarnings('ignore:The shape of value will convert')  # mmseg's own merging
@pytest.mark.parametrize(('windows', 'mode'), [('shifted', 'whole'), ('padded', 'slide')])
def test_mmsegs_own_fusion_is_an_option(windows, mode):
    """The same model under mmseg's test-time augmentation, as ``--tta`` puts it together."""
    cfg = config_of(models.MODELS / 'fcn_hrnetv2.py').model
    cfg.backbone.update(type='hrnet_plugins.HRNet', arch=models.TINY)
    cfg.decode_head.update(in_channels=models.TINY.channels, num_classes=3)
    cfg.data_preprocessor = dict(type='SegDataPreProcessor', size_divisor=1)  # images as they are
    cfg.test_cfg = dict(mode='fused', base_size=64, crop_size=(48, 48), windows=windows)
    wrapper = TTAModel(models.build_in('mmseg', cfg))
    fill(wrapper.module)
    x = image((1, 3, 64, 64))
    with torch.no_grad():  # no class shall win everywhere
        wrapper.module.decode_head.conv_seg.bias -= wrapper.module(x, mode='tensor').mean((0, 2, 3))
    assert wrapper.module.test_cfg.mode == mode
    views = [models.samples(torch.zeros(1, 64, 64, dtype=torch.long)) for _ in range(2)]
    for sample, flip in zip(views, (False, True)):
        sample[0].set_metainfo(dict(flip=flip, flip_direction='horizontal', img_path='x.png'))
    data = dict(inputs=[x, x.flip(3)], data_samples=views)
    with torch.inference_mode():
        (merged,) = wrapper.test_step(data)
        views = [wrapper.module.predict(v, [s[0]])[0].seg_logits.data for v, s in zip(data['inputs'], views)]
    probabilities = sum(view.softmax(0) for view in views)
    expected = probabilities.argmax(0)
    assert len(expected.unique()) > 1
    assert torch.equal(merged.pred_sem_seg.data[0], expected)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(base_size=0), r'`test_cfg.base_size` \(0\)'),
        (dict(crop_size=(60,)), r'`test_cfg.crop_size` \(\(60,\)\)'),
        (dict(windows='some'), r"`test_cfg.windows` \('some'\)"),
        (dict(scales=[]), r'`test_cfg.scales` \(\[\]\)'),
        (dict(scales=[0.5, 0]), r'`test_cfg.scales`'),
        (dict(flip_pairs=[(1, 2, 3)]), r'`test_cfg.flip_pairs`'),
    ],
)
def test_errors_name_the_argument(change, message):
    with pytest.raises(ValueError, match=message):
        MultiScaleTest(**{**SETTINGS['windows'], **change})
