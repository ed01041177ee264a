"""Acceleration by a line of config: the same model and state dict, and one line in the log."""

import json
import logging
import warnings

import pytest
import torch
from mmengine import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope

from hrnet_plugins.recipes import framework_tool, model_of, recipe_path
from tests.helpers import frameworks
from tests.helpers.accelerated import BF16
from tests.helpers.networks import TINY, assert_equal, fill, image
from tests.helpers.processes import ROOT, run

HEAD = dict(type='LinearClsHead', num_classes=7, in_channels=32)


def config(**options):
    """A classifier's config without our line, and with it."""
    plain = dict(
        type='ImageClassifier',
        backbone=frameworks.backbone(TINY, out_indices=(3,)),
        neck=dict(type='GlobalAveragePooling'),
        head=HEAD,
    )
    return plain, {**plain, 'type': 'hrnet_plugins.Accelerated', 'plain': 'ImageClassifier', **options}


@pytest.fixture
def log():
    """What mmengine's current logger writes."""
    lines = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    level = logger.level  # a run in an earlier test may have left it above
    logger.setLevel(logging.INFO)
    yield lines
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_one_line_accelerates_and_says_how_much_differs(log):
    before, after = config(dtype='bf16')
    plain, fast = (fill(frameworks.build('mmpretrain', c)) for c in (before, after))
    assert isinstance(fast, type(plain))
    assert list(fast.state_dict()) == list(plain.state_dict())
    x = image((2, 3, 64, 64))
    with torch.no_grad():
        assert_equal(fast(x), plain(x), 3e-2)
        fast(x)
    (line,) = (line for line in log if 'runs accelerated' in line)
    assert line.startswith(f'ImageClassifier runs accelerated (eager, {BF16}): at 2x3x64x64 its outputs differ')
    mean, worst = (float(word) for word in line.split() if 'e-0' in word)
    assert 0 < mean < worst < 3e-2


def test_the_plain_type_is_looked_up_where_the_config_is_from():
    _, after = config(plain='mmpretrain.ImageClassifier')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert type(MODELS.build(ConfigDict(after))).__name__ == 'AcceleratedImageClassifier'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(plain=None), r"`plain` \(None\) must name the model's own type"),
        (dict(dtype='half'), r"`dtype` \('half'\) must be one of fp32, bf16, fp16"),
        (dict(backend='tpu'), r"`backend` \('tpu'\) is unknown"),
    ],
)
def test_mistakes_are_named(options, message):
    _, after = config(**options)
    with pytest.raises(ValueError, match=message):
        frameworks.build('mmpretrain', after)


LINE = ['model.type=hrnet_plugins.Accelerated', 'model.dtype=bf16']
FEW = ['test_dataloader.dataset.indices=4']


def weights(recipe, path):
    torch.save(dict(state_dict=fill(model_of(recipe)).state_dict()), path)
    return path


@pytest.mark.slow  # the tool of mmpretrain stands for the three
def test_mmdets_test_tool(digits, digits_recipe, tmp_path):
    checkpoint = weights(digits_recipe, tmp_path / 'a.pth')
    tool = framework_tool('mmdet', 'test')
    text = run(
        digits, tool, digits_recipe, checkpoint, '--work-dir', tmp_path, '--cfg-options', *LINE, *FEW,
        'model.plain=FasterRCNN',
    )  # fmt: skip
    assert text.count(f'FasterRCNN runs accelerated (eager, {BF16})') == 1
    assert 'bbox_mAP' in text


def test_mmpretrains_test_tool(digits, digits_classifier, tmp_path):
    checkpoint = weights(digits_classifier, tmp_path / 'a.pth')
    text = run(
        digits, 'test', digits_classifier, checkpoint, '--work-dir', tmp_path, '--cfg-options', *LINE, *FEW,
        'model.plain=ImageClassifier', module='hrnet_plugins.cli',
    )  # fmt: skip
    assert text.count(f'ImageClassifier runs accelerated (eager, {BF16})') == 1
    assert 'accuracy/top1' in text


@pytest.mark.slow
def test_mmsegs_test_tool(digits, tmp_path):
    recipe = ROOT / 'projects' / 'digits' / 'ocr_hrnetv2-w18-small-v1_6e_digits.py'
    checkpoint = weights(recipe, tmp_path / 'a.pth')
    text = run(
        digits, framework_tool('mmseg', 'test'), recipe, checkpoint, '--work-dir', tmp_path, '--cfg-options', *LINE,
        *FEW, 'model.plain=hrnet_plugins.OCRSegmentor',
    )  # fmt: skip
    assert text.count(f'OCRSegmentor runs accelerated (eager, {BF16})') == 1
    assert 'mIoU' in text


def test_with_our_classes_behind_upstreams_names(tmp_path):
    """A stranger's config with the two lines: the drop-in's and ours."""
    theirs = framework_tool('mmdet', 'test').parents[1] / 'configs/hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py'
    config = tmp_path / 'fast.py'
    config.write_text(
        f'_base_ = {str(theirs)!r}\n'
        "custom_imports = dict(imports=['hrnet_plugins.dropin'])\n"
        "model = dict(type='hrnet_plugins.Accelerated', plain=_base_.model.type, backbone=dict(init_cfg=None))\n"
    )
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys, torch\n'
        'from hrnet_plugins.recipes import model_of\n'
        'model = model_of(sys.argv[1]).eval()\n'
        'levels = model.extract_feat(torch.rand(1, 3, 64, 64))\n'
        'print(type(model).__name__, type(model.backbone).__module__, len(levels))\n'
    )
    assert 'AcceleratedFasterRCNN hrnet_plugins.dropin 5' in run(tmp_path, '-W', 'ignore', script, config)


def test_det_inferencer(digits, digits_recipe, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of optional packages
        from mmdet.apis import DetInferencer  # noqa: PLC0415

    config = tmp_path / 'fast.py'
    config.write_text(
        f'_base_ = {str(recipe_path(str(digits_recipe)))!r}\n'
        "model = dict(type='hrnet_plugins.Accelerated', plain=_base_.model.type)\n"
    )
    picture = next((digits / 'data/digits').rglob('val*/*.png'))
    checkpoint = str(weights(digits_recipe, tmp_path / 'a.pth'))
    results = []
    for path in (config, digits_recipe):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of saved files without class names, and mmdet's own
            infer = DetInferencer(str(path), checkpoint, device='cpu', show_progress=False)
            (result,) = infer(str(picture))['predictions']
        results.append((type(infer.model).__name__, torch.tensor(result['scores'])))
    (fast, ours), (_, theirs) = results
    assert fast == 'AcceleratedFasterRCNN'
    assert_equal(ours, theirs)


@pytest.mark.gpu
def test_mmdets_benchmark_tool(digits, digits_recipe, tmp_path):
    checkpoint = weights(digits_recipe, tmp_path / 'a.pth')
    tool = framework_tool('mmdet', 'analysis_tools/benchmark')
    text = run(
        digits, tool, digits_recipe, '--checkpoint', checkpoint, '--task', 'inference', '--max-iter', 8,
        '--num-warmup', 2, '--log-interval', 4, '--work-dir', tmp_path, '--cfg-options', LINE[0],
        'model.dtype=fp16', 'model.plain=FasterRCNN',
    )  # fmt: skip
    assert 'FasterRCNN runs accelerated (eager, torch.float16)' in text
    assert 'fps: ' in text


@pytest.mark.slow
def test_detections_score_the_same(demo, tmp_path):
    config = demo / 'demo' / 'digits.py'
    checkpoint = (demo / 'demo' / 'run' / 'train' / 'last_checkpoint').read_text().strip()

    def bbox_map(name, *options):
        out = tmp_path / name
        options = ['--work-dir', out, '--cfg-options', 'load_from=None', *options]
        run(demo, 'test', config, checkpoint, *options, module='hrnet_plugins.cli')
        (metrics,) = out.glob('*/*.json')
        return json.loads(metrics.read_text())['coco/bbox_mAP']

    plain = bbox_map('plain')
    assert plain >= 0.75, 'a detector that found nothing would prove nothing'
    for dtype in ('fp32', 'bf16'):
        fast = bbox_map(dtype, LINE[0], 'model.plain=FasterRCNN', f'model.dtype={dtype}')
        assert fast == pytest.approx(plain, abs=0.005)


def test_a_plain_backbone_imports_nothing_of_inference(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(
        'import sys\n'
        'from mmengine.registry import MODELS\n'
        "MODELS.build(dict(type='hrnet_plugins.HRNet', arch='w18_small_v1'))\n"
        "print([name for name in sys.modules if name.startswith('hrnet_plugins.inference')])\n"
    )
    assert run(tmp_path, '-W', 'ignore', script).splitlines()[-1] == '[]'
