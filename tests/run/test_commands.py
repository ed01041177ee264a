"""Train, test, resume, and mmdet's own tools, each as a user runs it, on a few scenes."""

import json
import re
import shutil

import pytest

from hrnet_plugins.recipes import distribution_of, framework_tool
from tests.helpers.processes import run

FEW = ['train_dataloader.dataset.indices=8', 'val_dataloader.dataset.indices=4', 'test_dataloader.dataset.indices=4']


@pytest.fixture(scope='module')
def trained(once, digits, digits_recipe):
    """The checkpoint of one short epoch, made by ``hrnet-plugins train`` from a folder that is not ours."""

    def train(work):
        options = ['--work-dir', work, '--cfg-options', *FEW, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
        run(digits, 'train', digits_recipe, *options, module='hrnet_plugins.cli')

    return once('detector', train) / 'epoch_1.pth'


def test_training_leaves_metrics(trained):
    (scalars,) = trained.parent.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert 'coco/bbox_mAP' in lines[-1]


def test_checkpoint_tests(trained, digits, digits_recipe):
    out = digits / 'predictions.pkl'
    run(
        digits, 'test', digits_recipe, trained, '--work-dir', digits / 'test', '--out', out, '--cfg-options', *FEW,
        module='hrnet_plugins.cli',
    )  # fmt: skip
    (metrics,) = (digits / 'test').glob('*/*.json')
    assert 'coco/bbox_mAP' in json.loads(metrics.read_text())
    assert out.stat().st_size > 0


def test_training_resumes(trained, digits, digits_recipe):
    work = digits / 'resumed'
    work.mkdir()
    shutil.copy(trained, work)
    (work / 'last_checkpoint').write_text(str(work / trained.name))
    options = ['--work-dir', work, '--resume', '--cfg-options', *FEW]
    text = run(
        digits, 'train', digits_recipe, *options, 'train_cfg.max_epochs=2', 'train_cfg.val_interval=5',
        module='hrnet_plugins.cli',
    )  # fmt: skip
    assert 'resumed epoch: 1' in text
    assert (work / 'epoch_2.pth').exists()


def test_plain_mim(trained, digits, digits_recipe):
    options = ['--work-dir', digits / 'plain', '--cfg-options', *FEW]
    run(digits, 'test', distribution_of('mmdet'), digits_recipe, '--checkpoint', trained, *options, module='mim')


def test_our_tools_are_the_frameworks(trained, digits, digits_recipe):
    from hrnet_plugins.recipes import MIM_ROOT  # noqa: PLC0415

    options = ['--work-dir', digits / 'tool', '--cfg-options', *FEW]
    assert 'bbox_mAP' in run(digits, MIM_ROOT / 'tools' / 'test.py', digits_recipe, trained, *options)


def test_get_flops(digits, digits_recipe):
    text = run(digits, framework_tool('mmdet', 'analysis_tools/get_flops'), digits_recipe, '--num-images', 2)
    assert re.search(r'Flops: \d', text)


def test_browse_dataset(digits, digits_recipe):
    out = digits / 'browse'
    tool = framework_tool('mmdet', 'analysis_tools/browse_dataset')
    options = ['--not-show', '--output-dir', out, '--cfg-options', 'train_dataloader.dataset.indices=3']
    run(digits, tool, digits_recipe, *options)
    assert len(list(out.rglob('*.png'))) == 3


@pytest.mark.parametrize(
    ('task', 'result'),
    [
        ('dataloader', r'fps: \d|batch / s'),
        # mmdet's tool moves the model to a GPU without asking whether there is one.
        pytest.param('inference', r'fps: \d|img / s', marks=pytest.mark.gpu),
    ],
)
def test_benchmark(trained, digits, digits_recipe, task, result):
    tool = framework_tool('mmdet', 'analysis_tools/benchmark')
    options = ['--max-iter', 8, '--num-warmup', 2, '--log-interval', 4, '--work-dir', digits, '--dataset-type', 'val']
    text = run(digits, tool, digits_recipe, '--checkpoint', trained, '--task', task, *options)
    assert re.search(result, text)
