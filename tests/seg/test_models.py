"""The models against the official networks' stored outputs and against mmseg's own, and what they do better."""

import pytest
import torch
from torch import nn

from hrnet_plugins.seg.heads import HRNetV2Head, OCRHead, resize_logits
from hrnet_plugins.seg.segmentors import OCRSegmentor
from hrnet_plugins.weights import check_against, convert
from tests.helpers import segmentation as models
from tests.helpers.networks import TINY, assert_equal, fill, filled, image, reference


def official(name, model):
    case, expected = reference(name)
    state, _ = convert(filled(dict(case['keys'])))
    check_against(state, model)
    model.load_state_dict(state, strict=True)
    return model.eval(), image(tuple(case['input'])), expected


def test_plain_model_gives_the_official_outputs():
    model, x, expected = official('seg_w18_20', models.plain('w18', num_classes=20, align_corners=True))
    with torch.inference_mode():
        assert_equal(model(x, mode='tensor'), expected['out'])


def test_ocr_model_gives_the_official_outputs():
    model, x, expected = official('seg_ocr_w18_19', models.ocr('w18'))
    with torch.inference_mode():
        feats = model.extract_feat(x)
        assert_equal(model.decode_head[0](feats), expected['aux'])
        assert_equal(model(x, mode='tensor'), expected['out'])
        branches = model.backbone(x)
        assert_equal(model.decode_head[0](branches), expected['aux'])


def pair(cascade):
    """The model of mmseg and ours with the same weights, which load strictly both ways."""
    theirs = fill(models.of_mmseg(cascade=cascade))
    ours = models.ocr(align_corners=False, dropout_ratio=0) if cascade else models.plain()
    if cascade:
        ours.decode_head[0].loss_decode.loss_weight = 0.4
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    return ours, theirs


@pytest.mark.parametrize('cascade', [False, True], ids=['plain', 'ocr'])
def test_outputs_equal_mmseg(cascade):
    ours, theirs = pair(cascade)
    x = image((2, 3, 64, 128))
    with torch.inference_mode():
        assert_equal(ours.eval()(x, mode='tensor'), theirs.eval()(x, mode='tensor'))
        sample = models.samples(models.labels_of((2, 64, 128)))
        a, b = ours.predict(x, sample), theirs.predict(x, models.samples(models.labels_of((2, 64, 128))))
    for found, expected in zip(a, b, strict=True):
        assert_equal(found.seg_logits.data, expected.seg_logits.data)
        assert torch.equal(found.pred_sem_seg.data, expected.pred_sem_seg.data)


@pytest.mark.parametrize('cascade', [False, True], ids=['plain', 'ocr'])
def test_losses_and_gradients_equal_mmseg(cascade):
    ours, theirs = pair(cascade)
    x, labels = image((2, 3, 64, 128)), models.labels_of((2, 64, 128))
    results = []
    for model in (ours.train(), theirs.train()):
        losses = model.loss(x, models.samples(labels))
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        results.append((losses, {name: p.grad for name, p in model.named_parameters()}))
    (losses, grads), (expected, expected_grads) = results
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert_equal(losses[name], value)
    scale = max(grad.abs().max() for grad in expected_grads.values())
    for name, grad in expected_grads.items():
        # The first head's convolution comes before resizing, which rounds otherwise: 3.2e-5 was seen.
        assert (grads[name] - grad).abs().max() <= 1e-4 * max(grad.abs().max(), 1e-2 * scale), name


def test_first_head_runs_once_a_step():
    """The first head's norms see every batch once, as the official ones; those of mmseg twice."""
    ours, theirs = pair(cascade=True)
    x, labels = image((2, 3, 64, 128)), models.labels_of((2, 64, 128))
    norm = 'decode_head.0.convs.0.bn'
    for model, seen in ((ours, 1), (theirs, 2)):
        model.train().loss(x, models.samples(labels))
        assert model.get_submodule(norm).num_batches_tracked == seen
        assert model.get_submodule('decode_head.1.bottleneck.bn').num_batches_tracked == 1


@pytest.mark.parametrize('size', [(65, 97), (130, 67), (33, 32)])
@pytest.mark.parametrize('kind', ['plain', 'ocr'])
def test_any_input_size(kind, size):
    model = fill(getattr(models, kind)(align_corners=True)).train()
    losses = model.loss(image((2, 3, *size)), models.samples(models.labels_of((2, *size))))
    assert all(torch.isfinite(value).all() for value in losses.values())
    with torch.inference_mode():
        (result, _) = model.eval().predict(image((2, 3, *size)), models.samples(models.labels_of((2, *size))))
    assert result.pred_sem_seg.data.shape == (1, *size)


def test_no_labelled_pixel_leaves_weights_finite():
    model = fill(models.ocr()).train()
    losses = model.loss(image((2, 3, 64, 64)), models.samples(torch.full((2, 64, 64), 255)))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert all(losses[name] == 0 for name in losses if 'loss' in name)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_dropout_is_where_the_original_has_it():
    assert models.plain().decode_head.dropout is None
    first, second = models.ocr().decode_head
    assert first.dropout is None
    assert isinstance(second.dropout, nn.Dropout2d)
    assert second.dropout.p == 0.05


@torch.no_grad()
def test_initialisation_is_the_published_one():
    torch.manual_seed(0)
    model = models.plain(num_classes=150)
    model.init_weights()
    for conv in (model.decode_head.convs[0].conv, model.decode_head.conv_seg):
        assert conv.weight.std() == pytest.approx(0.001, rel=0.1)
    model = models.ocr(num_classes=150)
    model.init_weights()
    for head in model.decode_head:
        bound = head.conv_seg.in_channels**-0.5  # of PyTorch's default for convolutions
        assert head.conv_seg.weight.abs().max() == pytest.approx(bound, rel=0.1)
        assert head.conv_seg.bias.abs().max() > 0
    before = model.decode_head[1].bottleneck.conv.weight.clone()
    bound = before[0].numel() ** -0.5
    assert before.abs().max() == pytest.approx(bound, rel=0.1)


@torch.no_grad()
def test_a_head_of_ocr_follows_its_own_init_cfg(tmp_path):
    model = models.ocr(init_cfg=dict(type='Constant', val=0.5, layer='Conv2d'))
    model.init_weights()
    first, second = model.decode_head
    assert all((conv.weight == 0.5).all() for conv in second.modules() if isinstance(conv, nn.Conv2d))
    assert first.conv_seg.weight.abs().max() == pytest.approx(first.conv_seg.in_channels**-0.5, rel=0.1)

    expected = fill(models.ocr()).decode_head[1].state_dict()
    torch.save(expected, tmp_path / 'head.pth')
    model = models.ocr(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'head.pth')))
    model.init_weights()
    found = model.decode_head[1].state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_attention_keeps_one_array_of_pixels_times_classes():
    """What backward keeps of the size of K classes times N pixels: the softmax over each, and nothing else."""
    head = OCRHead(TINY.channels, num_classes=7, channels=16, ocr_channels=8)
    size, kept = (12, 10), []
    feats, logits = image((1, sum(TINY.channels), *size)), image((1, 7, *size))
    feats.requires_grad_(), logits.requires_grad_()

    def pack(x):
        if x.numel() == 7 * 120:
            kept.append(x.data_ptr())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        head(feats, logits)
    assert len(set(kept)) == 2


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: HRNetV2Head(18, num_classes=19), r'`in_channels` \(18\)'),
        (lambda: HRNetV2Head([4, 8], num_classes=19)([image((1, 4, 8, 8))]), r'`in_channels` \(\(4, 8\)\)'),
        (lambda: OCRSegmentor({}, [{}]), 'has 1 heads'),
        (lambda: models.plain(test_cfg=dict(mode='fused', sizes=[1])), r'`test_cfg` .* takes base_size, crop_size'),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('make', [models.plain, models.ocr], ids=['plain', 'ocr'])
def test_class_weights_have_one_for_each_class(make):
    weighted = dict(loss_decode=dict(type='hrnet_plugins.CrossEntropy', class_weight=[1.0] * 19))
    make(num_classes=19, **weighted)
    for loss in ('hrnet_plugins.CrossEntropy', 'hrnet_plugins.OhemCrossEntropy', 'CrossEntropyLoss'):
        weighted['loss_decode']['type'] = loss
        with pytest.raises(ValueError, match=r'`class_weight` has 19 entries, the head 7 classes'):
            make(num_classes=7, **weighted)


MODES = {'whole': dict(mode='whole'), 'fused': dict(mode='fused', base_size=64, crop_size=(64, 64), windows='padded')}


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('make', [models.plain, models.ocr], ids=['plain', 'ocr'])
def test_two_classes_in_one_channel(make, mode):
    """The advice of mmseg for two classes: ``out_channels=1`` and a probability for the second."""
    model = fill(make(num_classes=2, out_channels=1, test_cfg=MODES[mode]))
    head = model.decode_head[-1] if isinstance(model.decode_head, nn.ModuleList) else model.decode_head
    assert (head.out_channels, head.threshold) == (1, 0.5)
    x, labels = image((2, 3, 64, 64)), models.labels_of((2, 64, 64), 2)
    losses = model.loss(x, models.samples(labels))
    assert all(value.isfinite().all() for value in losses.values())
    with torch.inference_mode():
        logits = model(x, mode='tensor')
        found = model.eval().predict(x, models.samples(labels))
    assert {int(label) for sample in found for label in sample.pred_sem_seg.data.unique()} <= {0, 1}
    if mode == 'whole':
        for sample, logit in zip(found, logits, strict=True):
            sized = resize_logits(logit[None], (64, 64), align_corners=model.align_corners)
            assert torch.equal(sample.pred_sem_seg.data.bool(), sized[0].sigmoid() > 0.5)


def test_two_classes_come_without_advice():
    models.plain(num_classes=2)  # warnings are errors


def heads_of(kind, **options):
    """A head with the branches that it takes, in float64, and how it is called."""
    model = models.plain(**options) if kind == 'plain' else models.ocr(dropout_ratio=0, channels=16, ocr_channels=8)
    head = (model.decode_head if kind == 'plain' else model.decode_head[1]).double()
    fill(head)
    feats = [image((2, c, 32 // 2**i, 48 // 2**i), seed=i).double() for i, c in enumerate(TINY.channels)]
    previous = () if kind == 'plain' else (image((2, 19, 32, 48), seed=9).double(),)
    return head.train(), feats, previous


def results_of(head, inputs, previous):
    """Logits, gradients and statistics of a step."""
    head.zero_grad()
    logits = head(inputs, *previous)
    logits.square().mean().backward()
    grads = {name: p.grad.clone() for name, p in head.named_parameters() if p.grad is not None}
    return {'logits': logits.detach(), **grads, **{f'{name} ': b.clone() for name, b in head.named_buffers()}}


WATCHED = {'plain': ['convs', 'convs.0', 'convs.0.conv'], 'ocr': ['bottleneck', 'object_context_block.bottleneck.norm']}


@pytest.mark.parametrize('fixed', [False, True], ids=['learning', 'fixed'])
@pytest.mark.parametrize('grain', ['', 'norm', 'block'])
@pytest.mark.parametrize('kind', ['plain', 'ocr'])
def test_every_way_through_a_head_gives_the_same(kind, grain, fixed):
    """Branches or their concatenation, somebody's hooks, fixed statistics, recomputing."""
    head, feats, previous = heads_of(kind)
    for module in head.modules():
        if fixed and isinstance(module, nn.BatchNorm2d):
            module.eval()
    state = {key: value.clone() for key, value in head.state_dict().items()}
    expected = results_of(head, head.concat(feats), previous)
    head.grain = grain
    calls = []
    for name in [None, *WATCHED[kind]]:
        head.load_state_dict(state)
        hook = name and head.get_submodule(name).register_forward_hook(lambda *_, at=name: calls.append(at))
        found = results_of(head, feats, previous)
        for key, value in expected.items():
            assert torch.allclose(found[key], value, rtol=1e-8, atol=1e-12), key
        if hook:
            hook.remove()
            assert name in calls, 'the hook was not called'
    assert found.keys() == expected.keys()
