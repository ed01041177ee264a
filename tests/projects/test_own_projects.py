"""The projects on real data: their configs are what `new` writes, and the others differ in the model alone."""

import io
import json
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from rich.console import Console

from hrnet_plugins.data import Machine, new
from hrnet_plugins.recipes import build_model
from tests.helpers import detection, segmentation
from tests.helpers.paths import ROOT

DATA = next((f for parent in ROOT.parents if (f := parent / 'shared' / 'data').is_dir()), ROOT / 'none')
PROJECTS = ROOT / 'projects'
STREETS = dict(classes='sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist', ignore=[11])
WRITTEN = {
    'cells/cells_faster-rcnn': {},
    'cells/cells_fcos': dict(recipe='fcos_hrnetv2p-w18_1x_coco', arch='w18_small_v1'),
    'streets/streets_hrnetv2': dict(recipe='fcn_hrnetv2-w18-small-v1_484e_cityscapes-512x1024', **STREETS),
    'streets/streets_ocr': dict(recipe='ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024', **STREETS),
}
NEIGHBOURS = {
    'cells/cells_faster-rcnn_r18-fpn': 'cells/cells_faster-rcnn',
    'streets/streets_fcn_r18': 'streets/streets_hrnetv2',
}


def body(text):
    """A config without what names the version, the command and the path of its base."""
    lines = [line for line in text.splitlines() if not line.startswith('#')]
    return re.sub(r"_base_ = '.*?(configs/.*)'", r'\1', '\n'.join(lines))


@pytest.mark.skipif(not DATA.is_dir(), reason='the real data sets are not beside the project')
@pytest.mark.parametrize('name', WRITTEN)
def test_configs_are_what_new_writes(name, tmp_path, monkeypatch):
    project, config = name.split('/')
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / project).symlink_to(DATA / project)
    monkeypatch.chdir(tmp_path)
    out = f'projects/{name}.py'
    new(out, data=f'data/{project}', from_scratch=True, machine=Machine(cores=2), console=Console(file=io.StringIO()),
        **WRITTEN[name])  # fmt: skip
    assert body((tmp_path / out).read_text()) == body((PROJECTS / f'{name}.py').read_text())
    beside = PROJECTS / project / f'{config}_data'
    written = tmp_path / 'projects' / project / f'{config}_data'
    assert {p.name: p.read_text() for p in written.iterdir()} == {p.name: p.read_text() for p in beside.iterdir()}


@pytest.mark.parametrize('name', WRITTEN)
def test_readme_has_the_command_of_each_config(name):
    project = name.split('/')[0]
    command = re.search(r'# (hrnet-plugins new (?:.*\\\n)*.*)', (PROJECTS / f'{name}.py').read_text())[1]
    words = re.sub(r'\\\n#?', ' ', command).split()
    readme = re.sub(r'\\\n', ' ', (PROJECTS / project / 'README.md').read_text())
    readme = readme.replace('$CLASSES', STREETS['classes'])
    (said,) = [line.split() for line in readme.splitlines() if line.startswith(f'hrnet-plugins new projects/{name}.py')]
    assert sorted(said) == sorted(words) and '--force' not in words


def samples_of(project):
    """What is on two pictures of 96x96."""
    if project == 'streets':
        return segmentation.samples(segmentation.labels_of((2, 96, 96), num_classes=11))
    boxes, labels = torch.tensor([[8.0, 8, 40, 40], [50, 20, 80, 60]]), torch.tensor([0, 2])
    return [detection.sample(boxes, labels, (96, 96)) for _ in range(2)]


@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')  # mmdet's points of FCOS
@pytest.mark.parametrize('name', [*WRITTEN, *NEIGHBOURS])
def test_models_build_and_learn(name):
    cfg = Config.fromfile(PROJECTS / f'{name}.py')
    model = build_model(cfg)
    assert all(parameter.requires_grad for parameter in model.parameters()), 'from scratch nothing is frozen'
    model.train()
    assert not [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d) and not m.training]
    model.init_weights()
    images, samples = torch.randn(2, 3, 96, 96), samples_of(name.split('/')[0])
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        loss, _ = model.parse_losses(model.loss(images, samples))
    assert 0 < loss.item() < 1000
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


EQUAL_TIME = {'streets/streets_fcn_r18': {'max_epochs', 'train_cfg', 'param_scheduler'}}
"""What else differs where a step takes longer."""


@pytest.mark.parametrize('name', NEIGHBOURS)
def test_neighbours_differ_in_the_model_and_what_equal_time_needs(name):
    ours, theirs = (Config.fromfile(PROJECTS / f'{n}.py').to_dict() for n in (NEIGHBOURS[name], name))
    for helper in ('norm', 'head'):
        theirs.pop(helper, None)
    assert {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)} == {
        'model',
        *EQUAL_TIME.get(name, ()),
    }


RECORDED = sorted(p for name in ('cells', 'streets') for p in (PROJECTS / name).glob('*/metrics.json'))
LEAST = {'faster-rcnn': 0.80, 'hrnetv2': 45.0, 'ocr': 45.0}
"""Box AP50 on the blood cells' test split, mean IoU on the streets' validation split."""
CORE_MINUTES = {'cells': 2 * 25, 'streets': 2 * 40}


@pytest.mark.parametrize('path', RECORDED, ids=lambda path: path.parent.name)
def test_recorded_runs_are_what_the_page_says_and_what_they_have_to_be(path):
    metrics, page = json.loads(path.read_text()), (path.parents[1] / 'README.md').read_text()
    name, project = path.parent.name, path.parents[1].name
    (row,) = [line for line in page.splitlines() if line.startswith('| ') and f']({name}/metrics.json)' in line]
    minutes = f'| {metrics["training_cpu_minutes"]:.0f} |'
    if project == 'cells':
        best, last = metrics['pascal_voc/mAP'], f'| {metrics["pascal_voc/mAP"]:.3f} {minutes}'
    else:
        best = max(row['mIoU'] for row in metrics['validations'])
        last = f'| {best:.1f} | {metrics["mIoU"]:.1f} {minutes}'
    assert row.endswith(last)
    assert best >= LEAST.get(name, 0)
    assert metrics['training_cpu_minutes'] <= CORE_MINUTES[project]


def test_some_are_recorded():
    assert RECORDED
