"""COCO in zip files through mmdet's dataset and torch's loader, from the config fragments."""

import zipfile

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from hrnet_plugins.recipes import MIM_ROOT, framework_tool

pytestmark = pytest.mark.filterwarnings('ignore:This DataLoader will create:UserWarning')  # four workers anywhere

FRAGMENTS = (MIM_ROOT / 'configs').resolve() / '_base_' / 'datasets'

MMDET = framework_tool('mmdet', 'test').parents[1] / 'configs'


@pytest.fixture(scope='session')
def coco(digits):
    """COCO's layout, its images as folders and as zip files: data/coco below the folder that is returned."""
    source, root = digits / 'data' / 'digits', digits / 'data' / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for split in ('train', 'val'):
        name = f'{split}2017'
        (root / name).symlink_to(source / split)
        (root / 'annotations' / f'instances_{name}.json').symlink_to(source / 'annotations' / f'{split}.json')
        with zipfile.ZipFile(root / f'{name}.zip', 'w') as archive:
            for image in sorted((source / split).iterdir()):
                archive.write(image, f'{name}/{image.name}')
    return digits


def samples(cfg, split, **options):
    """The first batches of a loader, made as mmengine's runner makes it."""
    loader_cfg = cfg[f'{split}_dataloader']
    loader_cfg.dataset.metainfo = dict(classes=[str(digit) for digit in range(10)])
    loader_cfg.dataset.indices = 16
    loader_cfg.sampler.shuffle = False
    loader_cfg.update(batch_size=2, num_workers=4, persistent_workers=False, batch_sampler=None)
    loader_cfg.update(options)
    torch.manual_seed(0)
    loader = Runner.build_dataloader(loader_cfg, seed=0)
    return [item for batch in loader for item in zip(batch['inputs'], batch['data_samples'], strict=True)]


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('task', ['detection', 'instance'])
def test_same_samples_as_from_folders(coco, task, split, monkeypatch):
    monkeypatch.chdir(coco)
    init_default_scope('mmdet')
    zipped = samples(Config.fromfile(FRAGMENTS / f'coco_{task}_zip.py'), split)
    plain = samples(Config.fromfile(MMDET / '_base_' / 'datasets' / f'coco_{task}.py'), split)
    assert len(zipped) == len(plain) == 16
    for (a, sample_a), (b, sample_b) in zip(zipped, plain, strict=True):
        assert torch.equal(a, b) and a.float().std() > 1
        assert sample_a.img_path == sample_b.img_path.replace(f'{split}2017/', f'{split}2017.zip/{split}2017/')
        assert torch.equal(sample_a.gt_instances.bboxes.tensor, sample_b.gt_instances.bboxes.tensor)
        assert ('masks' in sample_a.gt_instances) == (task == 'instance')


@pytest.mark.slow
def test_spawned_workers(coco, monkeypatch):
    monkeypatch.chdir(coco)
    init_default_scope('mmdet')
    cfg = Config.fromfile(FRAGMENTS / 'coco_detection_zip.py')
    forked = samples(cfg.copy(), 'val')
    spawned = samples(cfg.copy(), 'val', multiprocessing_context='spawn')
    assert len(spawned) == len(forked) == 16
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(forked, spawned, strict=True))
