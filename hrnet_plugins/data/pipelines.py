"""Data sections of a config, one function a task: pipelines, loaders and evaluators."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_plugins.data.content import Content
from hrnet_plugins.data.plan import Options, Plan
from hrnet_plugins.data.recipe import Recipe
from hrnet_plugins.data.source import Code, Copy, source

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@dataclass(frozen=True)
class Places:
    """Where a config finds files.

    Args:
        root: The folder of the data.
        config: The folder of the config.
        relative: The data are named as seen from the config, so that both can be moved together.
    """

    root: Path
    config: Path
    relative: bool

    def in_data(self, path: Path) -> str:
        """A path inside the data as seen from their folder; another one as the config names it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else self.beside(path)

    def beside(self, path: Path) -> str:
        """A path as the config names it: from its own folder, which mmengine puts in place of the braces."""
        return '{{ fileDirname }}/' + relative(path, self.config)

    def data(self) -> str:
        """The folder of the data as the config names it, with a slash at the end."""
        if not self.relative:
            return self.root.as_posix().rstrip('/') + '/'
        inside = relative(self.root, self.config)
        return '{{ fileDirname }}/' + ('' if inside == '.' else f'{inside}/')

    def joined(self, path: Path) -> Code | str:
        """A path inside the data with ``data_root`` before it."""
        if path.is_relative_to(self.root):
            return Code(f'data_root + {path.relative_to(self.root).as_posix()!r}')
        return self.beside(path)


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder."""
    return Path(os.path.relpath(path, folder)).as_posix()  # Path.relative_to goes up only from Python 3.12 on


def data_sections(
    recipe: Recipe, content: Content, plan: Plan, options: Options, sets: dict[str, dict[str, Any]], places: Places
) -> dict[str, Any]:
    """What a config has to say of the data, by top-level key: the wanted values, complete.

    Args:
        recipe: What the config inherits.
        content: The data.
        plan: The numbers of the training.
        options: What the user set.
        sets: What ``write_sets`` says of each set.
        places: Where files are.
    """
    functions = {'detection': _detection, 'segmentation': _segmentation, 'classification': _classification}
    return functions[content.task](recipe, content, plan, options, sets, places)


def score_of(recipe: Recipe, content: Content, sets: dict[str, dict[str, Any]]) -> tuple[str, float]:
    """The score by which the best checkpoint is chosen, and the least gain that counts as one."""
    if content.task == 'segmentation':
        return 'mIoU', 0.1
    if content.task == 'classification':
        return 'accuracy/top1', 0.1
    if sets['val']['kind'] == 'voc':
        return 'pascal_voc/mAP', 0.001
    return ('coco/segm_mAP' if recipe.with_masks else 'coco/bbox_mAP'), 0.001


def _loaders(recipe: Recipe, datasets: dict[str, dict[str, Any]], plan: Plan) -> dict[str, Any]:
    """What the data sets share, as ``dataset``, and the three loaders as the recipe has them, with these data sets."""
    first = datasets['train']
    shared = {key: value for key, value in first.items() if all(d.get(key) == value for d in datasets.values())}
    wanted: dict[str, Any] = dict(dataset=shared)
    for split, name in zip(('train', 'val', 'test'), LOADERS):
        loader = copy.deepcopy(recipe.cfg.get(name) or recipe.cfg['val_dataloader'])
        loader.pop('collate_fn', None)  # of images in zip files
        own = {key: value for key, value in datasets.get(split, datasets['val']).items() if key not in shared}
        loader.update(
            dataset=Copy('dataset', dict(_delete_=True, **own)),
            num_workers=Code('num_workers'),
            persistent_workers=True,
        )
        if split == 'train':
            loader['batch_size'] = plan.batch
            if loader.get('drop_last') and plan.steps < 2:
                loader['drop_last'] = False
        elif recipe.framework == 'mmpretrain':
            loader['batch_size'] = plan.batch
        wanted[name] = loader
    return wanted


def _read(content: Content, **options: Any) -> dict[str, Any]:
    turned = dict(color_type='color_ignore_orientation') if content.turned_labels else {}
    return dict(type='LoadImageFromFile', **turned, **options)


def _detection(
    recipe: Recipe, content: Content, plan: Plan, options: Options, sets: dict[str, dict[str, Any]], places: Places
) -> dict[str, Any]:
    labels = dict(type='LoadAnnotations', with_bbox=True, **(dict(with_mask=True) if recipe.with_masks else {}))
    # Of COCO files mmdet leaves boxes of no area out itself.
    empty = any(row['kind'] == 'voc' for row in sets.values()) and bool(content.of('no-area'))
    drop = [dict(type='FilterAnnotations', min_gt_bbox_wh=(0, 0), keep_empty=False)] if empty else []
    resize = dict(type='Resize', scale=Code('scale'), keep_ratio=True)
    flip = [dict(type='RandomFlip', prob=0.5)] if options.flip else []
    meta = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
    train = [_read(content), labels, *drop, resize, *flip, dict(type='PackDetInputs')]
    test = [_read(content), resize, labels, *drop, dict(type='PackDetInputs', meta_keys=meta)]
    datasets = {}
    for split, row in sets.items():
        pipeline = Code('train_pipeline' if split == 'train' else 'test_pipeline')
        common = dict(data_root=Code('data_root'), metainfo=Code('metainfo'), ann_file=places.in_data(row['ann_file']))
        if row['kind'] == 'voc':
            parts = dict(img_subdir=row['img_subdir'], ann_subdir=row['ann_subdir'])
            dataset = dict(type='XMLDataset', **common, data_prefix=dict(sub_data_root=''), **parts)
        else:
            prefix = f'{row["img"]}/' if row['img'] not in ('', '.') else ''
            dataset = dict(type='CocoDataset', **common, data_prefix=dict(img=prefix))
        if split == 'train':
            dataset['filter_cfg'] = dict(filter_empty_gt=True, min_size=1)
        else:
            dataset['test_mode'] = True
        datasets[split] = dict(dataset, pipeline=pipeline)
    wanted = dict(
        scale=(max(plan.size), min(plan.size)),
        train_pipeline=train,
        test_pipeline=test,
        **_loaders(recipe, datasets, plan),
    )
    for split, name in (('val', 'val_evaluator'), ('test', 'test_evaluator')):
        row = sets.get(split, sets['val'])
        if row['kind'] == 'voc':
            wanted[name] = dict(type='VOCMetric', metric='mAP', eval_mode='area')
        else:
            wanted[name] = dict(
                type='CocoMetric',
                ann_file=places.joined(row['ann_file']),
                metric=['bbox', 'segm'] if recipe.with_masks else 'bbox',
                format_only=False,
                backend_args=None,
            )
    return wanted


def _segmentation(
    recipe: Recipe, content: Content, plan: Plan, options: Options, sets: dict[str, dict[str, Any]], places: Places
) -> dict[str, Any]:
    width, height = plan.size
    read, labels = _read(content), dict(type='hrnet_plugins.LoadLabels')
    flip = [dict(type='RandomFlip', prob=0.5)] if options.flip else []
    least, most = plan.scales
    scales = f'[(int(base_size * i / 10 + 0.5),) * 2 for i in range({least}, {most + 1})]'
    train = [
        read,
        labels,
        dict(type='RandomChoiceResize', scales=Code(scales), keep_ratio=True),
        dict(type='Pad', size=Code('crop_size[::-1]'), pad_val=dict(img=0, seg=255)),
        dict(type='RandomCrop', crop_size=Code('crop_size'), cat_max_ratio=0.75),
        *flip,
        dict(type='PackSegInputs'),
    ]
    shrink = [dict(type='Resize', scale=Code('(base_size, base_size)'), keep_ratio=True)] if plan.shrink < 1 else []
    test = [read, *shrink, labels, dict(type='PackSegInputs')]
    resize = dict(type='Resize', scale=Code('(int(base_size * ratio),) * 2'), keep_ratio=True)
    averaged = [
        Code(f'[{source(resize)} for ratio in (0.75, 1.0, 1.25)]'),
        [dict(type='RandomFlip', prob=p, direction='horizontal') for p in ((0.0, 1.0) if options.flip else (0.0,))],
        [labels],
        [dict(type='PackSegInputs')],
    ]
    coloured = isinstance(content.label_values[0], tuple)
    values = {} if _from_zero(content) else dict(label_values=Code('label_values'), ignored=Code('ignored'))
    datasets = {
        split: dict(
            type='hrnet_plugins.FolderDataset',
            data_root=Code('data_root'),
            metainfo=Code('metainfo'),
            ann_file=places.in_data(row['ann_file']),
            **values,
            **({} if split == 'train' else dict(test_mode=True)),
            pipeline=Code('train_pipeline' if split == 'train' else 'test_pipeline'),
        )
        for split, row in sets.items()
    }
    labels_of = {}
    if values:
        rows = [list(v) for v in content.label_values] if coloured else list(content.label_values)
        labels_of = dict(label_values=rows, ignored=[list(v) if coloured else v for v in content.ignored])
    return dict(
        **labels_of,
        base_size=max(plan.size),
        crop_size=(height, width),
        train_pipeline=train,
        test_pipeline=test,
        **_loaders(recipe, datasets, plan),
        tta_pipeline=[read, dict(type='TestTimeAug', transforms=averaged)],
        test_evaluator=recipe.cfg['val_evaluator'],
    )


def _from_zero(content: Content) -> bool:
    return content.label_values == list(range(len(content.classes))) and set(content.ignored) <= {255}


def _classification(
    recipe: Recipe, content: Content, plan: Plan, options: Options, sets: dict[str, dict[str, Any]], places: Places
) -> dict[str, Any]:
    side = plan.size[0]
    flip = [dict(type='RandomFlip', prob=0.5, direction='horizontal')] if options.flip else []
    crop = dict(type='RandomResizedCrop', scale=side, crop_ratio_range=(0.5, 1.0), backend='pillow')
    train = [_read(content), crop, *flip, dict(type='PackInputs')]
    edge = dict(type='ResizeEdge', scale=round(side * 8 / 7), edge='short', backend='pillow')
    test = [_read(content), edge, dict(type='CenterCrop', crop_size=side), dict(type='PackInputs')]
    datasets = {}
    for split, row in sets.items():
        dataset: dict[str, Any] = dict(type='CustomDataset')
        if row['kind'] == 'folder':
            folder = places.in_data(row['folder'])
            dataset.update(data_root=Code(f'data_root + {folder!r}'), metainfo=Code('metainfo'))
        else:
            dataset.update(
                data_root=Code('data_root'), metainfo=Code('metainfo'), ann_file=places.in_data(row['ann_file'])
            )
        datasets[split] = dict(dataset, pipeline=Code('train_pipeline' if split == 'train' else 'test_pipeline'))
    from hrnet_plugins.data.model import topk  # noqa: PLC0415, it needs this module's neighbours

    evaluator = dict(type='Accuracy', topk=topk(content))
    return dict(
        data_preprocessor=dict(recipe.cfg['data_preprocessor'], num_classes=Code('num_classes')),
        train_pipeline=train,
        test_pipeline=test,
        **_loaders(recipe, datasets, plan),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )
