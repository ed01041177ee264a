"""The text of a config: what it inherits, and what the data change, with a comment where one helps."""

from __future__ import annotations

import copy
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import hrnet_plugins
from hrnet_plugins.data.content import Content
from hrnet_plugins.data.machine import Machine
from hrnet_plugins.data.model import model_for
from hrnet_plugins.data.pipelines import Places, data_sections, relative, score_of
from hrnet_plugins.data.plan import Options, Plan
from hrnet_plugins.data.pretrained import Weights
from hrnet_plugins.data.recipe import Recipe
from hrnet_plugins.data.source import Code, changes, source
from hrnet_plugins.recipes import MIM_ROOT


def config_text(
    recipe: Recipe,
    content: Content,
    plan: Plan,
    options: Options,
    machine: Machine,
    weights: Weights,
    sets: dict[str, dict[str, Any]],
    places: Places,
    *,
    command: str,
    dropped: list[str],
) -> str:
    """The config's text.

    Args:
        recipe: What it inherits.
        content: The data.
        plan: The numbers of the training.
        options: What the user set.
        machine: What will train.
        weights: What the training starts from.
        sets: What ``write_sets`` says of each set.
        places: Where files are.
        command: The command line that writes it.
        dropped: Modules that the weights do not fill, for other classes.
    """
    text = [_head(content, places, command, recipe), _class_weight(plan)]
    model = model_for(recipe, content, plan, weights=weights.name, whole=weights.whole)
    full = model_for(recipe, content, replace(plan, small=False), weights=weights.name, whole=weights.whole)
    text.append(
        _block(
            _about_model(recipe, plan, weights, smaller=full != model),
            model=changes(recipe.model, model, '_base_.model'),
        )
    )
    data = data_sections(recipe, content, plan, options, sets, places)
    text += _data_blocks(recipe, content, plan, machine, places, data)
    text += _training_blocks(recipe, content, plan, options, machine, weights, sets, dropped)
    return '\n'.join(block for block in text if block)


def _head(content: Content, places: Places, command: str, recipe: Recipe) -> str:
    counts = ', '.join(f'{len(pictures)} {split}' for split, pictures in content.splits.items())
    found = {'coco': 'COCO', 'voc': 'PASCAL VOC', 'yolo': 'YOLO', 'labelme': 'LabelMe'}.get(content.format)
    kind = found or {'masks': 'label maps', 'folders': 'a folder a class'}[content.format]
    about = f'{content.root.name}, {kind}: {counts} pictures, {len(content.classes)} classes. Written by hrnet-plugins '
    lines = [
        *_comment(f'{about}{hrnet_plugins.__version__} with').splitlines(),
        *_command(command),
        f'_base_ = {_base(recipe.path, places.config)!r}',
        '',
        f'classes = {source(tuple(content.classes), before=10)}',
        'num_classes = len(classes)',
        '',
    ]
    return '\n'.join(lines)


def _class_weight(plan: Plan) -> str:
    if not plan.class_weight:
        return ''
    about = 'What a class counts in the loss, by its share of the pixels as in ENet (arXiv:1606.02147).'
    return _block(about, class_weight=list(plan.class_weight))


def _command(command: str) -> list[str]:
    """A command line in comments, broken between words as a shell reads it."""
    lines = ['#']
    for word in shlex.split(command):
        if len(lines[-1]) + len(shlex.quote(word)) >= 117:
            lines[-1] += ' \\'
            lines.append('#  ')
        lines[-1] += f' {shlex.quote(word)}'
    return lines


def _base(recipe: Path, folder: Path) -> str:
    """The recipe as seen from a config in the same project, else where it is installed."""
    project = (MIM_ROOT / 'configs').resolve().parent
    if folder == project or project in folder.parents:
        return relative(recipe, folder)
    return recipe.as_posix()


def _about_model(recipe: Recipe, plan: Plan, weights: Weights, *, smaller: bool) -> str:
    said = []
    if recipe.arch != recipe.own_arch:
        said.append(f'the arch {recipe.arch} in place of {recipe.own_arch}')
    if smaller:
        said.append('small heads for a machine without a GPU (--heads full keeps those of the recipe)')
    if plan.channels_last:
        said.append('the layout that is faster without a GPU')
    if weights.name is None:
        said.append('from scratch: norms learn their statistics, each residual block starts at zero')
    elif weights.whole:
        said.append('the weights of `load_from` bring the backbone too')
    if plan.small_objects and recipe.two_stage:
        said.append('anchors from 16 pixels on, as the objects of a class are small')
    return _sentence(said)


def _data_blocks(
    recipe: Recipe, content: Content, plan: Plan, machine: Machine, places: Places, data: dict[str, Any]
) -> list[str]:
    data = dict(data)
    labels = {key: data.pop(key) for key in ('label_values', 'ignored') if key in data}
    metainfo: dict[str, Any] = dict(classes=Code('classes'))
    if labels and isinstance(content.label_values[0], tuple):
        metainfo['palette'] = Code('label_values')
    blocks = [_block('', data_root=places.data(), **labels, metainfo=metainfo)]
    sizes = {key: data.pop(key) for key in ('scale', 'base_size', 'crop_size') if key in data}
    if sizes:
        blocks.append(_block(_about_size(content, plan), **sizes))
    if 'data_preprocessor' in data:
        blocks.append(_changed(recipe, data_preprocessor=data.pop('data_preprocessor')))
    pipelines = {key: data.pop(key) for key in ('train_pipeline', 'test_pipeline')}
    blocks.append(_block('', **pipelines))
    made = ' The split was made by this command.' if content.made_split else ''
    blocks.append(
        _block(made.strip() and f'{made.strip()} Its lists are beside this file.', num_workers=machine.workers)
    )
    loaders = {key: data.pop(key) for key in ('dataset', 'train_dataloader', 'val_dataloader', 'test_dataloader')}
    blocks.append(_changed(recipe, **loaders))
    evaluators = {key: data.pop(key) for key in ('val_evaluator', 'test_evaluator') if key in data}
    blocks.append(_changed(recipe, **evaluators))
    blocks.append(_changed(recipe, **data))
    return blocks


def _about_size(content: Content, plan: Plan) -> str:
    width, height = plan.size
    if plan.shrink < 1:
        return (
            f'Pictures are made smaller, to {width}x{height} at the median, for the time and memory they take (--size).'
        )
    return f'Pictures keep their size, {width}x{height} at the median.'


def _training_blocks(
    recipe: Recipe,
    content: Content,
    plan: Plan,
    options: Options,
    machine: Machine,
    weights: Weights,
    sets: dict[str, dict[str, Any]],
    dropped: list[str],
) -> list[str]:
    by_epoch = dict(by_epoch=True) if recipe.framework == 'mmpretrain' else dict(type='EpochBasedTrainLoop')
    wanted: dict[str, Any] = dict(
        optim_wrapper=_optimizer(recipe, plan),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=plan.warmup),
            dict(
                type='CosineAnnealingLR',
                T_max=Code('max_epochs'),
                eta_min=plan.lr / 100,
                by_epoch=True,
                convert_to_iter_based=True,
            ),
        ],
        train_cfg=dict(by_epoch, max_epochs=Code('max_epochs'), val_interval=plan.val_interval),
        auto_scale_lr=dict(recipe.cfg.get('auto_scale_lr') or dict(enable=False), base_batch_size=plan.batch),
    )
    epochs = 'epoch' if plan.epochs == 1 else 'epochs'
    steps = f'{plan.epochs} {epochs} of {plan.steps} steps, {plan.batch} pictures each, on {machine}.'
    blocks = [_block(f'{steps} {_about_rate(recipe, plan)}', max_epochs=plan.epochs) + _changed(recipe, **wanted)]
    about = ''
    if weights.name is not None and weights.whole:
        about = _about_weights(dropped)
        blocks.append(_block(about, load_from=weights.name))
    score, gain = score_of(recipe, content, sets)
    hooks = copy.deepcopy(recipe.cfg['default_hooks'])
    hooks['logger']['interval'] = max(1, min(50, plan.steps // 5 if machine.gpu else 5))
    hooks['checkpoint'].update(
        type='hrnet_plugins.CheckpointHook',
        interval=plan.val_interval,
        save_best=score,
        rule='greater',
        max_keep_ckpts=1,
    )
    if 'by_epoch' in hooks['checkpoint']:
        hooks['checkpoint']['by_epoch'] = True
    stop = dict(type='EarlyStoppingHook', monitor=score, rule='greater', min_delta=gain, patience=plan.patience)
    rest: dict[str, Any] = dict(default_hooks=hooks)
    if 'by_epoch' in recipe.cfg.get('log_processor', {}):
        rest['log_processor'] = dict(recipe.cfg['log_processor'], by_epoch=True)
    seed = dict(recipe.cfg.get('randomness') or {}, seed=options.seed)
    kept = f'The best checkpoint by {score} is kept beside the last, and training stops when it no longer gets better.'
    blocks.append(_comment(kept) + _changed(recipe, **rest) + _block('', custom_hooks=_hooks(recipe, stop)))
    blocks.append(_changed(recipe, randomness=seed))
    return blocks


def _optimizer(recipe: Recipe, plan: Plan) -> dict[str, Any]:
    wrapper = copy.deepcopy(recipe.cfg['optim_wrapper'])
    if plan.from_scratch:
        wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=plan.lr, weight_decay=0.05))
        if recipe.framework == 'mmdet':
            wrapper['clip_grad'] = dict(max_norm=10)
    else:
        wrapper['optimizer']['lr'] = plan.lr
    if plan.amp:
        wrapper.update(type='AmpOptimWrapper', dtype=plan.amp)
        if plan.amp == 'float16':
            wrapper['loss_scale'] = 'dynamic'
    return wrapper


def _about_rate(recipe: Recipe, plan: Plan) -> str:
    if plan.from_scratch:
        return 'The learning rate is for training from scratch.'
    base = recipe.cfg.get('auto_scale_lr', {}).get('base_batch_size', 16)
    rate = recipe.cfg['optim_wrapper']['optimizer']['lr']
    return f"The recipe's learning rate, {rate:g} for {base} pictures a step, is scaled to {plan.batch}."


def _about_weights(dropped: list[str]) -> str:
    if not dropped:
        return 'All of the weights fit.'
    return f'Other classes: the weights of {", ".join(dropped)} are not loaded.'


def _hooks(recipe: Recipe, stop: dict[str, Any]) -> Any:
    base = recipe.cfg.get('custom_hooks') or []
    kept = [hook for hook in base if hook['type'] != 'hrnet_plugins.StuffMapsHook']
    if kept and kept == base:
        return [Code('*_base_.custom_hooks'), stop]
    return [*kept, stop]


def _changed(recipe: Recipe, **wanted: Any) -> str:
    """Assignments of what differs from the recipe; of loaders and evaluators that are equal, the second by name."""
    rows: dict[str, Any] = {}
    for key, value in wanted.items():
        base = recipe.cfg.get(key)
        if isinstance(base, dict) and isinstance(value, dict):
            said: Any = changes(base, value, f'_base_.{key}')
            if not said:
                continue
        elif key in recipe.cfg and base == value:
            continue
        else:
            said = value
        twin = next((name for name, other in rows.items() if other == said and name[:3] == 'val'), None)
        rows[key] = Code(twin) if twin and key[:4] == 'test' else said
    return _block('', **rows)


def _block(comment: str, **values: Any) -> str:
    rows = [f'{key} = {source(value, before=len(key) + 3)}\n' for key, value in values.items() if value != {}]
    return _comment(comment) + ''.join(rows) if rows else ''


def _comment(text: str) -> str:
    lines = ['#']
    for word in text.split():
        if len(lines[-1]) + len(word) >= 119:
            lines.append('#')
        lines[-1] += f' {word}'
    return ''.join(f'{line}\n' for line in lines) if text else ''


def _sentence(parts: list[str]) -> str:
    text = '; '.join(parts)
    return f'{text[0].upper()}{text[1:]}.' if text else ''
