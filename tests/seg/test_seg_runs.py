"""Published recipes train two iterations and are tested, on generated images in their datasets' true layouts."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from PIL import Image

from hrnet_plugins.recipes import recipes
from hrnet_plugins.seg.datasets import CityscapesDataset
from tests.helpers.configs import config_of
from tests.helpers.label_layouts import LAYOUTS, TRAIN, VAL
from tests.helpers.networks import fill
from tests.helpers.paths import ROOT
from tests.helpers.segmentation import shrink

RECIPES = {name: path for name, path in recipes().items() if 'hrnetv2-w48' in name}
LIKE_OCR = [name for name in RECIPES if name.startswith('fcn') and 'ade20k' not in name and '480x480' not in name]
"""Plain recipes that differ from the OCR one of their dataset in the head and its alignment of corners alone."""


def small(name, folder):
    """The recipe with a tiny network, which learns from scratch; data, losses and schedule stay."""
    cfg = config_of(RECIPES[name])
    shrink(cfg.model)
    for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[key].update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.max_epochs = 1
    cfg.param_scheduler[0].end = 1
    cfg.work_dir = str(folder / 'work_dirs' / name)
    cfg.log_level = 'ERROR'
    cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint.interval = 1
    return cfg


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    MMLogger.get_current_instance().setLevel('WARNING')


def marked(name):
    """One of each method stays quick, with the two ways of windows; the others take minutes together."""
    quick = name == 'ocr_hrnetv2-w48_484e_cityscapes-512x1024' or '480x480' in name
    return pytest.param(name, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize('name', [marked(name) for name in RECIPES if name not in LIKE_OCR])
@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about this short schedule
def test_recipe_trains_and_tests(name, folder):
    init_default_scope('mmseg')
    cfg = small(name, folder)
    LAYOUTS[cfg.data_root](folder / cfg.data_root)
    cfg.experiment_name = f'{name}-{folder.name}-train'
    runner = Runner.from_cfg(cfg)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    rates = [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]
    images = TRAIN + VAL if 'trainval' in name else TRAIN
    assert runner.iter == images // 2
    assert max(rates) == 0, 'the learning rate ends at zero'
    changed = {k for k, v in runner.model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {k for k in before if not k.startswith('data_preprocessor')}
    assert all(torch.isfinite(v).all() for v in runner.model.state_dict().values())

    scales = [0.25, 0.5] if 'cityscapes' in name else [0.5, 1.25]
    for kind, options in (('single', {}), ('multi', dict(scales=scales, flip=True))):
        cfg = small(name, folder)
        cfg.load_from = str(folder / 'work_dirs' / name / 'epoch_1.pth')
        cfg.model.test_cfg.update(options)
        cfg.experiment_name = f'{name}-{folder.name}-{kind}'
        metrics = Runner.from_cfg(cfg).test()
        if 'trainval' in name:
            written = sorted(path.name for path in (folder / 'work_dirs/cityscapes_test').glob('*.png'))
            assert written == [f'testville_{i:06}_000019_leftImg8bit.png' for i in range(VAL)]
        else:
            assert 0 <= metrics['mIoU_published'] <= metrics['mIoU'] + 0.01
            assert metrics['mIoU'] <= 100


@pytest.mark.parametrize('name', LIKE_OCR)
def test_plain_recipe_differs_in_the_head_alone(name):
    """So that its training and test are shown by those of the OCR recipe, and of the plain head by other recipes."""
    plain, ocr = (config_of(RECIPES[n]).to_dict() for n in (name, name.replace('fcn', 'ocr')))
    for cfg in (plain, ocr):
        del cfg['model']['type'], cfg['model']['decode_head']
        del cfg['model']['backbone']['align_corners']
        for key in ('head', 'aux_loss', 'aux_weight'):  # of the OCR head
            cfg.pop(key, None)
    assert plain == ocr


@pytest.mark.parametrize('name', [name for name in RECIPES if name.startswith('ocr')])
@pytest.mark.filterwarnings('ignore:Failed to add .*LocalVisBackend')  # mmseg's inferencer has no folder for it
def test_inferencers_see_a_picture_as_the_recipe_does(name, folder):
    """Both of mmseg's, a file and an array of it."""
    init_default_scope('mmseg')
    cfg = small(name, folder)
    cfg.model.test_cfg.scales = [0.25]
    classes = [str(i) for i in range(cfg.num_classes)]
    meta = dict(dataset_meta=dict(classes=classes, palette=[[i, 0, 0] for i in range(cfg.num_classes)]))
    weights = str(folder / 'weights.pth')
    torch.save(dict(state_dict=fill(MODELS.build(cfg.model)).state_dict(), meta=meta), weights)
    array = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8), (90, 60))
    path = str(folder / 'picture.png')
    cv2.imwrite(path, array)
    model = init_model(copy.deepcopy(cfg), weights, device='cpu')
    infer = MMSegInferencer(copy.deepcopy(cfg), weights=weights, device='cpu')
    found = [inference_model(model, picture) for picture in (path, array)]
    found += [infer(picture, return_datasamples=True) for picture in (path, array)]
    assert found[0].pred_sem_seg.shape == (60, 90)
    first, *others = (sample.seg_logits.data for sample in found)
    assert (first.std((1, 2)) > 0).all(), 'not the same everywhere'
    assert all(torch.equal(other, first) for other in others)


@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about what it does not draw
def test_images_without_labels_with_test_time_augmentation(folder):
    """The trainval recipe with --tta, as mmseg's tool puts it together."""
    init_default_scope('mmseg')
    name = 'ocr_hrnetv2-w48_484e_cityscapes-trainval-512x1024'
    cfg = small(name, folder)
    LAYOUTS[cfg.data_root](folder / cfg.data_root)
    for resize in cfg.tta_pipeline[1].transforms[0]:
        resize.scale = (96, 96)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model
    cfg.experiment_name = f'{name}-{folder.name}-tta'
    Runner.from_cfg(cfg).test()
    written = list((folder / 'work_dirs/cityscapes_test').glob('*.png'))
    assert len(written) == VAL
    values = set(CityscapesDataset.METAINFO['label_values'])
    assert all(set(np.unique(Image.open(path)).tolist()) <= values for path in written)


@pytest.mark.parametrize('method', ['fcn', 'ocr'])
@pytest.mark.filterwarnings('ignore::UserWarning')  # of the runner, about this short schedule
def test_digits_recipe_trains_and_tests(method, digits, monkeypatch, tmp_path):
    monkeypatch.chdir(digits)
    init_default_scope('mmseg')
    (recipe,) = (ROOT / 'projects' / 'digits').glob(f'{method}_hrnetv2-*_digits.py')
    cfg = config_of(recipe)
    for loader, few in ((cfg.train_dataloader, 8), (cfg.val_dataloader, 2), (cfg.test_dataloader, 2)):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.indices = few
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.work_dir, cfg.experiment_name, cfg.log_level = str(tmp_path), f'digits-{method}', 'ERROR'
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 2
    assert 0 <= runner.test()['mIoU'] <= 100
    MMLogger.get_current_instance().setLevel('WARNING')
