"""Work folders of tiny trainings on tiny data, one a task, as `hrnet-plugins train` leaves them."""

import io
import warnings

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from rich.console import Console

from hrnet_plugins.data import Machine, Options, new
from tests.helpers.own_sets import coco_annotations, folders_split, masks_camvid, sets

RECIPES = {
    'detection': 'mask-rcnn_hrnetv2p-w18_1x_coco',
    'segmentation': 'fcn_hrnetv2-w18-small-v1_484e_cityscapes-512x1024',
    'classification': 'hrnet-w18-small-v1_100e_in1k',
}
LAYOUTS = {'detection': coco_annotations, 'segmentation': masks_camvid, 'classification': folders_split}


def train(task, folder):
    """Write data, config and the work folder `run` of two epochs into a folder."""
    layout = LAYOUTS[task]
    layout(folder / 'data', *([] if layout is folders_split else [sets(4, 3, 2)]))
    path = new(
        folder / 'own.py',
        data=folder / 'data',
        recipe=RECIPES[task],
        arch='w18_small_v1',
        machine=Machine(cores=2),
        from_scratch=True,
        options=Options(epochs=2, batch=4, size=96),
        console=Console(file=io.StringIO()),
    )
    cfg = Config.fromfile(path)
    cfg.work_dir = str(folder / 'run')
    cfg.log_level = 'ERROR'
    cfg.default_hooks.logger.interval = 1
    # mmengine keeps visualizers and loggers by name: those of another run in this process would write elsewhere.
    cfg.experiment_name = cfg.visualizer.name = f'own-{task}'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[loader].update(num_workers=0, persistent_workers=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # the frameworks', of packages that they can do without
        Runner.from_cfg(cfg).train()
    MMLogger.get_current_instance().setLevel('WARNING')
