"""The losses against stored values of the official code, finite differences, and their corner cases."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hrnet_plugins.seg.losses import CrossEntropy, OhemCrossEntropy
from tests.helpers.configs import config_of
from tests.helpers.networks import REFERENCE
from tests.helpers.paths import ROOT

CASES = json.loads((REFERENCE / 'seg_losses.json').read_text())
OHEM = [(0.9, 2000), (0.5, 500), (0.7, 100000)]
IGNORED = 255


@pytest.fixture(scope='module')
def cityscapes_weights():
    cfg = config_of(ROOT / 'configs' / '_base_' / 'datasets' / 'cityscapes.py')
    assert len(cfg.class_weight) == cfg.num_classes
    return cfg.class_weight


def outputs(case):
    """Labels, and the auxiliary and main logits at the labels' size, by the rule that made the stored values."""
    rng = np.random.default_rng(case['seed'])
    labels = rng.integers(0, 19, case['labels'])
    labels[rng.random(case['labels']) < 0.15] = IGNORED
    logits = [rng.standard_normal(case['logits']).astype(np.float32) * np.float32(case['scale']) for _ in range(2)]
    sized = [
        F.interpolate(torch.from_numpy(x), size=labels.shape[1:], mode='bilinear', align_corners=case['align_corners'])
        for x in logits
    ]
    return torch.from_numpy(labels), *sized


@pytest.mark.parametrize('case', CASES, ids=lambda case: str((case['logits'], case['align_corners'])))
def test_cross_entropy_is_the_official_one(case, cityscapes_weights):
    labels, aux, main = outputs(case)
    loss = CrossEntropy(class_weight=cityscapes_weights if case['class_weights'] else None)
    total = case['aux_weight'] * loss(aux, labels) + case['main_weight'] * loss(main, labels)
    assert total.item() == pytest.approx(case['ce'], rel=1e-5)


@pytest.mark.parametrize(('thresh', 'kept'), OHEM)
@pytest.mark.parametrize('case', CASES, ids=lambda case: str((case['logits'], case['align_corners'])))
def test_ohem_is_the_official_one(case, thresh, kept, cityscapes_weights):
    labels, aux, main = outputs(case)
    weights = cityscapes_weights if case['class_weights'] else None
    hard = OhemCrossEntropy(thresh=thresh, min_kept=kept, class_weight=weights)
    beside = CrossEntropy(class_weight=weights, average='all', loss_weight=case['aux_weight'])
    total = beside(aux, labels) + case['main_weight'] * hard(main, labels)
    assert total.item() == pytest.approx(case[f'ohem_thr{thresh}_keep{kept}'], rel=1e-5)


LOSSES = {
    'valid': CrossEntropy(),
    'all': CrossEntropy(average='all'),
    'weights': CrossEntropy(class_weight=[0.5, 2, 1]),
    'factor': CrossEntropy(loss_weight=0.4),
    'ohem': OhemCrossEntropy(thresh=0.4, min_kept=5),
    'ohem weights': OhemCrossEntropy(thresh=0.4, min_kept=5, class_weight=[0.5, 2, 1]),
}


@pytest.mark.parametrize('name', LOSSES)
def test_gradients_are_those_of_finite_differences(name):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=rng, requires_grad=True)
    labels = torch.randint(0, 3, (2, 4, 5), generator=rng)
    labels[:, 0] = IGNORED
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, labels), logits, eps=1e-7)
    LOSSES[name](logits, labels).backward()
    assert (logits.grad[:, :, 0] == 0).all(), 'ignored pixels have no gradient'
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize('name', LOSSES)
def test_no_labelled_pixel_is_no_loss(name):
    logits = torch.randn(1, 3, 4, 5, requires_grad=True)
    value = LOSSES[name](logits, torch.full((1, 4, 5), IGNORED))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_ignored_pixels_do_not_change_the_mean():
    logits = torch.randn(1, 3, 4, 5)
    labels = torch.randint(0, 3, (1, 4, 5))
    wider = F.pad(logits, (0, 3)), F.pad(labels, (0, 3), value=IGNORED)
    for name in ('valid', 'weights', 'ohem', 'ohem weights'):
        assert LOSSES[name](*wider) == pytest.approx(LOSSES[name](logits, labels).item(), rel=1e-6), name
    assert LOSSES['all'](*wider) == pytest.approx(LOSSES['all'](logits, labels).item() * 5 / 8, rel=1e-6)


def test_ohem_looks_at_the_whole_batch():
    """One easy and one hard image: every pixel that is kept is the hard one's."""
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    with torch.no_grad():
        logits[0, 0] = 5
    loss = OhemCrossEntropy(thresh=0.9, min_kept=16)(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3), rel=1e-6)
    assert (logits.grad[0] == 0).all()


def test_half_precision_is_computed_in_single():
    logits, labels = torch.randn(1, 3, 4, 5).half(), torch.randint(0, 3, (1, 4, 5))
    assert CrossEntropy()(logits, labels).dtype == torch.float32


def test_class_weights_are_not_in_the_state_dict():
    assert not LOSSES['weights'].state_dict()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: CrossEntropy(average='some'), r"`average` \('some'\)"),
        (lambda: OhemCrossEntropy(thresh=0), r'`thresh` \(0\)'),
        (lambda: OhemCrossEntropy(min_kept=0), r'`min_kept` \(0\)'),
        (
            lambda: CrossEntropy()(torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1).long(), weight=torch.ones(1, 1, 1)),
            r'`weight` \(1, 1, 1\) comes from the `sampler`',
        ),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('loss', [CrossEntropy, OhemCrossEntropy])
@pytest.mark.parametrize('count', [2, 4])
def test_class_weights_for_another_number_of_classes(loss, count):
    with pytest.raises(ValueError, match=rf'`class_weight` has {count} entries, the head 3 classes'):
        loss(class_weight=[1.0] * count)(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long))


@pytest.mark.parametrize('loss', [CrossEntropy(), CrossEntropy(class_weight=[0.5, 2.0]), OhemCrossEntropy(min_kept=3)])
def test_one_channel_is_the_second_of_two_classes(loss):
    logits = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(32).view(2, 4, 4) % 2
    labels[0, 0, 0] = IGNORED
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    assert loss(logits, labels) == pytest.approx(loss(both, labels).item())
    if isinstance(loss, CrossEntropy) and loss.class_weight is None:
        keep = labels != IGNORED
        expected = F.binary_cross_entropy_with_logits(logits[:, 0][keep], labels[keep].float())
        assert loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)
