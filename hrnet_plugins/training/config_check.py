"""Looking for what is wrong between a config, its datasets and its heads, before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from hrnet_plugins.data.files import is_file
from hrnet_plugins.training.coco_check import check_coco
from hrnet_plugins.training.findings import Finding, error, some, warning
from hrnet_plugins.training.label_map_check import check_label_maps
from hrnet_plugins.training.voc_check import check_voc

_HEADS = ('bbox_head', 'mask_head', 'head', 'decode_head', 'auxiliary_head')
"""Parts of a model that have a number of classes: the one of the dataset."""
_LOADERS = ('train_dataloader', 'val_dataloader')
_PICTURES = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')


def check_config(config: Mapping[str, Any]) -> list[Finding]:
    """Check a whole config with the files that it names.

    Args:
        config: The config, as it will be run.

    Returns:
        What is wrong, the impossible first.
    """
    found = [*_check_types(config, ''), *_check_evaluators(config)]
    heads = dict(_class_counts(config.get('model') or {}, 'model'))
    for name, count in heads.items():
        if isinstance(count, bool) or not isinstance(count, int):
            found.append(error(f'`{name}` ({count!r}) must be a whole number'))
    counts = {name: count for name, count in heads.items() if isinstance(count, int)}
    for loader in _LOADERS:
        for dataset in datasets_of((config.get(loader) or {}).get('dataset')):
            found += check_dataset(dataset, counts, scope=config.get('default_scope'), training=loader == _LOADERS[0])
    return sorted(dict.fromkeys(found), key=lambda finding: finding.severity)


def datasets_of(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of datasets inside any wrappers."""
    if not isinstance(dataset, Mapping):
        return
    inside = dataset.get('datasets') or [dataset.get('dataset')]
    if inside == [None]:
        yield dataset
    for part in inside:
        yield from datasets_of(part)


def check_dataset(
    dataset: Mapping[str, Any], heads: Mapping[str, int], *, scope: str | None, training: bool
) -> list[Finding]:
    """Check one dataset's files, and its classes with the heads'.

    Args:
        dataset: Its config.
        heads: The number of classes of each head by its name in the config.
        scope: The config's ``default_scope``.
        training: Whether it is learnt from.
    """
    kind = str(dataset.get('type', '')).rpartition('.')[2]
    classes = _classes(dataset, scope)
    found: list[Finding] = []
    if kind == 'CocoDataset' and dataset.get('ann_file') and not dataset.get('backend_args'):
        pictures = _joined(dataset, _prefix(dataset))
        found += check_coco(_joined(dataset, dataset['ann_file']), classes=classes, pictures=pictures)
    if kind in ('CustomDataset', 'ImageNet') and not dataset.get('ann_file') and not dataset.get('backend_args'):
        folder = _joined(dataset, _prefix(dataset))
        found += _check_folders(folder)
        if classes is None and folder.is_dir():
            classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if kind in ('VOCDataset', 'XMLDataset') and dataset.get('ann_file') and not dataset.get('backend_args'):
        base = Path(
            str(dataset.get('data_root') or ''), str((dataset.get('data_prefix') or {}).get('sub_data_root', ''))
        )
        found += check_voc(
            _joined(dataset, dataset['ann_file']),
            annotations=base / str(dataset.get('ann_subdir', 'Annotations')),
            pictures=base / str(dataset.get('img_subdir', 'JPEGImages')),
            classes=classes,
        )
    found += _check_label_maps(dataset, scope, classes)
    if classes is not None and kind not in ('ImageNet',):
        for name, count in heads.items():
            if count == len(classes) or (count == 1 and name.endswith('mask_head.num_classes')):
                continue
            what = f'`{name}` is {count}, and the dataset has {len(classes)} classes ({some(classes)})'
            agree = 'make the two agree: `num_classes` of the heads and `metainfo` of the dataset'
            too_few = count < len(classes) or scope != 'mmpretrain'
            found.append(error(f'{what}: {agree}') if too_few else warning(f'{what}; some are never learnt'))
    return found if training else [finding for finding in found if finding.severity == 'error']


def _check_label_maps(dataset: Mapping[str, Any], scope: str | None, classes: Sequence[str] | None) -> list[Finding]:
    """Those of mmseg's datasets; ours say themselves what is wrong, as they know more encodings."""
    cls = _class_of(dataset, scope)
    prefix = dataset.get('data_prefix')
    if cls is None or not _is_seg(cls) or not isinstance(prefix, Mapping) or dataset.get('backend_args'):
        return []
    if 'seg_map_path' not in prefix or any(base.__module__.startswith('hrnet_plugins.') for base in cls.__mro__):
        return []
    options = {name: p.default for base in cls.__mro__[::-1] for name, p in _parameters(base)} | dict(dataset)
    listed = options.get('ann_file')
    return check_label_maps(
        _joined(dataset, str(prefix.get('img_path') or '')),
        _joined(dataset, str(prefix['seg_map_path'] or '')),
        picture_suffix=str(options.get('img_suffix', '.jpg')),
        map_suffix=str(options.get('seg_map_suffix', '.png')),
        listed=_joined(dataset, listed) if listed else None,
        classes=classes,
        reduce_zero_label=bool(options.get('reduce_zero_label')),
    )


def _class_of(dataset: Mapping[str, Any], scope: str | None) -> type | None:
    kind = str(dataset.get('type'))
    return DATASETS.get(kind if '.' in kind or not scope else f'{scope}.{kind}')


def _is_seg(cls: type) -> bool:
    return any(
        (base.__module__.partition('.')[0], base.__name__) == ('mmseg', 'BaseSegDataset') for base in cls.__mro__
    )


def _parameters(cls: type) -> Iterable[tuple[str, inspect.Parameter]]:
    found = vars(cls).get('__init__')
    return inspect.signature(found).parameters.items() if found is not None and cls is not object else ()


def _classes(dataset: Mapping[str, Any], scope: str | None) -> list[str] | None:
    """The classes that a dataset will have: its config's, or those its class was written for."""
    metainfo = dataset.get('metainfo') or {}
    named = metainfo.get('classes', metainfo.get('CLASSES')) if isinstance(metainfo, Mapping) else None
    named = named if named is not None else dataset.get('classes')
    if isinstance(named, str):
        path = Path(named)
        return path.read_text().split('\n') if is_file(path) else [named]
    if named is not None:
        return [str(name) for name in named]
    own = getattr(_class_of(dataset, scope), 'METAINFO', None) or {}
    return list(own['classes']) if 'classes' in own else None


def _check_folders(folder: Path) -> Iterator[Finding]:
    """A folder for each class, with pictures in it."""
    if not folder.is_dir():
        yield error(f'{folder}: there is no such folder; see `data_root` and `data_prefix` of the dataset')
        return
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        yield error(f'{folder} has no folder for any class')
    empty = [path for path in classes if not any(file.suffix.lower() in _PICTURES for file in path.rglob('*'))]
    if empty:
        say = error if len(empty) == len(classes) else warning
        yield say(f'folders of classes without a picture: {some(empty)}')


def _class_counts(part: Any, name: str) -> Iterator[tuple[str, Any]]:
    """``num_classes`` of each head of a model's config by its name there."""
    if isinstance(part, Mapping):
        for key, inside in part.items():
            if key == 'num_classes' and any(head in name.split('.') for head in _HEADS):
                yield f'{name}.num_classes', inside
            elif key not in (
                'backbone',
                'neck',
                'rpn_head',
                'semantic_head',
                'train_cfg',
                'test_cfg',
                'data_preprocessor',
            ):
                yield from _class_counts(inside, f'{name}.{key}')
    elif isinstance(part, (list, tuple)):
        for i, inside in enumerate(part):
            yield from _class_counts(inside, f'{name}.{i}')


def _check_types(part: Any, name: str) -> Iterator[Finding]:
    """``type=None`` anywhere, which mmengine reports without saying where."""
    if isinstance(part, Mapping):
        if 'type' in part and part['type'] is None:
            yield error(f'`{name}.type` is None: name a class, or set `{name}` itself to None')
        for key, inside in part.items():
            yield from _check_types(inside, f'{name}.{key}' if name else str(key))
    elif isinstance(part, (list, tuple)):
        for i, inside in enumerate(part):
            yield from _check_types(inside, f'{name}.{i}')


def _check_evaluators(config: Mapping[str, Any]) -> Iterator[Finding]:
    for task in ('val', 'test'):
        keys = [f'{task}_dataloader', f'{task}_cfg', f'{task}_evaluator']
        there = [key for key in keys if config.get(key) is not None]
        if there and len(there) < len(keys):
            lacking = [key for key in keys if key not in there]
            yield error(f'the config has {", ".join(there)} and no {", ".join(lacking)}: set all three or none')


def _prefix(dataset: Mapping[str, Any]) -> str:
    prefix = dataset.get('data_prefix') or ''
    if isinstance(prefix, Mapping):
        prefix = prefix.get('img', prefix.get('img_path', ''))
    return str(prefix or '')


def _joined(dataset: Mapping[str, Any], path: str) -> Path:
    return Path(str(dataset.get('data_root') or ''), path)


def raise_errors(found: Sequence[Finding]) -> None:
    """Stop for what is impossible.

    Raises:
        ValueError: With all errors, one a line.
    """
    errors = [finding.text for finding in found if finding.severity == 'error']
    if errors:
        raise ValueError('\n'.join(errors) if len(errors) == 1 else 'this cannot be trained:\n' + '\n'.join(errors))
