"""The check before training, through mmengine's and mmdet's wrappers and a real dataset."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from mmcv import imwrite
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

import hrnet_plugins.io  # noqa: F401
from hrnet_plugins.det import StuffMapsHook

NAMES = ['a.jpg', 'b.jpg', 'c.jpg']
SEG = 'stuffthingmaps/train2017/'
WRAPPERS = {
    'none': lambda dataset: dataset,
    'repeat': lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset),
    'balanced': lambda dataset: dict(type='ClassBalancedDataset', oversample_thr=1e-3, dataset=dataset),
    'concat': lambda dataset: dict(type='ConcatDataset', datasets=[dataset, dataset]),
    'mixed': lambda dataset: dict(type='MultiImageMixDataset', pipeline=[], dataset=dataset),
    'nested': lambda dataset: dict(type='RepeatDataset', times=2, dataset=WRAPPERS['concat'](dataset)),
}


@pytest.fixture
def root(tmp_path):
    """A COCO folder of three images' annotations, with a semantic map each."""
    images = [dict(id=i, file_name=name, height=40, width=40) for i, name in enumerate(NAMES)]
    boxes = [dict(id=i, image_id=i, category_id=1, bbox=[2, 2, 9, 9], area=81, iscrowd=0) for i in range(3)]
    coco = dict(images=images, annotations=boxes, categories=[dict(id=1, name='person')])
    (tmp_path / 'train.json').write_text(json.dumps(coco))
    for name in NAMES:
        imwrite(np.zeros((40, 40), np.uint8), str(tmp_path / SEG / name.replace('jpg', 'png')))
    return tmp_path


def check(root, seg=SEG, wrapper='none', **load):
    """Run the hook over a dataset below ``root``."""
    init_default_scope('mmdet')
    dataset = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='train.json',
        metainfo=dict(classes=('person',)),
        data_prefix=dict(img='train2017/') | (dict(seg=seg) if seg else {}),
        pipeline=[dict(type='LoadAnnotations', with_bbox=True, with_seg=True, **load)],
    )
    loader = SimpleNamespace(dataset=DATASETS.build(WRAPPERS[wrapper](dataset)))
    StuffMapsHook().before_train(SimpleNamespace(train_dataloader=loader))


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_maps_that_exist(root, wrapper):
    check(root, wrapper=wrapper)


@pytest.mark.parametrize('name', [NAMES[0], NAMES[-1]])
@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_missing_map_is_named(root, wrapper, name):
    path = root / SEG / name.replace('jpg', 'png')
    path.unlink()
    with pytest.raises(ValueError, match=f'{path} is missing.*stuffthingmaps_trainval2017.zip.*unpack.*semantic_head'):
        check(root, wrapper=wrapper)


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_dataset_without_maps(root, wrapper):
    with pytest.raises(ValueError, match=r'no semantic maps, its `data_prefix` \(.*train2017.*\) having no `seg`'):
        check(root, seg=None, wrapper=wrapper)


def test_maps_in_a_zip_file(root):
    with zipfile.ZipFile(root / 'maps.zip', 'w') as archive:
        for path in sorted((root / SEG).iterdir()):
            archive.write(path, f'train2017/{path.name}')
    check(root, seg='maps.zip/train2017/', backend_args=dict(backend='zip'))
    with pytest.raises(ValueError, match=r'maps\.zip/val2017/a\.png is missing'):
        check(root, seg='maps.zip/val2017/', backend_args=dict(backend='zip'))
