"""The model of a recipe for other classes, another arch, a smaller machine, or without weights."""

from __future__ import annotations

import copy
from typing import Any

from hrnet_plugins.archs import HRNetArch
from hrnet_plugins.data.content import Content
from hrnet_plugins.data.plan import Plan
from hrnet_plugins.data.recipe import Recipe
from hrnet_plugins.data.source import Code

NUM_CLASSES = Code('num_classes')
CLASS_WEIGHT = Code('class_weight')
CHANNELS = 128
"""Of necks and heads without a GPU, as in the digits recipes."""


def model_for(recipe: Recipe, content: Content, plan: Plan, *, weights: str | None, whole: bool) -> dict[str, Any]:
    """The model that is to be trained, with names of the config's where numbers of the classes stand.

    Args:
        recipe: What it starts from.
        content: The data.
        plan: The numbers of the training.
        weights: Name or path of the weights; ``None`` from scratch.
        whole: The weights are those of a whole model, so the backbone loads none of its own.
    """
    model = copy.deepcopy(recipe.model)
    _set_arch(model, recipe)
    model.get('data_preprocessor', {}).pop('batch_augments', None)  # the recipe's pad to the recipe's scales
    if recipe.framework == 'mmdet':
        _without_stuff(model)
    if recipe.framework == 'mmseg':
        _weigh_classes(model)
        model['test_cfg'] = dict(mode='whole')
    if recipe.framework == 'mmpretrain':
        model['head']['topk'] = topk(content)
    if plan.small:
        _shrink(model, recipe, plan)
    if plan.channels_last:
        model['backbone']['channels_last'] = True
    if plan.small_objects and recipe.two_stage:
        model['rpn_head']['anchor_generator']['scales'] = [4]
    _set_weights(model, recipe, weights=weights, whole=whole)
    _set_classes(model)
    return model


def topk(content: Content) -> tuple[int, ...]:
    """The ranks that accuracy is measured at: five best of five classes would say nothing."""
    return (1, 5) if len(content.classes) > 5 else (1,)


def _set_classes(node: Any) -> None:
    """Put the number of classes wherever a model has one."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == 'num_classes':
                node[key] = NUM_CLASSES
            else:
                _set_classes(value)
    elif isinstance(node, list):
        for value in node:
            _set_classes(value)


def _set_arch(model: dict[str, Any], recipe: Recipe) -> None:
    if recipe.arch == recipe.own_arch:
        return
    model['backbone']['arch'] = recipe.arch
    old, new = list(HRNetArch.of(recipe.own_arch).channels), list(recipe.channels())
    for part in ('neck', 'decode_head', 'auxiliary_head'):
        entries = model.get(part) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            if list(entry.get('in_channels') or []) == old if isinstance(entry.get('in_channels'), list) else False:
                entry['in_channels'] = new


def _set_weights(model: dict[str, Any], recipe: Recipe, *, weights: str | None, whole: bool) -> None:
    backbone = model['backbone']
    if weights is not None:
        backbone['init_cfg'] = None if whole else dict(type='Pretrained', checkpoint=weights)
        return
    backbone['init_cfg'] = None
    if backbone.get('norm_eval'):
        backbone['norm_eval'] = False
    if backbone.get('frozen_stages', -1) > (0 if recipe.own_arch else -1):
        backbone['frozen_stages'] = 0 if recipe.own_arch else -1
    if recipe.arch:
        backbone['zero_init_residual'] = True
    if model.get('bbox_head', {}).get('type') == 'FCOSHead':
        model['bbox_head']['norm_on_bbox'] = True


def _without_stuff(model: dict[str, Any]) -> None:
    """HTC without its semantic branch, which would need a label map for every picture."""
    head = model.get('roi_head', {})
    if head.get('semantic_head') is not None:
        head['semantic_head'] = None
        head['semantic_roi_extractor'] = None


def _weigh_classes(model: dict[str, Any]) -> None:
    for head in _entries(model['decode_head']):
        head['loss_decode']['class_weight'] = CLASS_WEIGHT  # in place of those of the recipe's classes


def _shrink(model: dict[str, Any], recipe: Recipe, plan: Plan) -> None:
    if recipe.framework == 'mmdet':
        _shrink_detector(model)
    elif recipe.framework == 'mmseg' and isinstance(model['decode_head'], list):
        model['decode_head'][1].update(channels=CHANNELS, ocr_channels=CHANNELS // 2)
    elif recipe.framework == 'mmpretrain' and plan.from_scratch:
        width = 4 * CHANNELS
        model['neck'][0].update(out_channels=width, mid_channels=[width >> i for i in (4, 3, 2, 1)])
        model['head']['in_channels'] = width


def _shrink_detector(model: dict[str, Any]) -> None:
    if model['neck'].get('out_channels') != 256:
        return
    model['neck']['out_channels'] = CHANNELS
    if 'rpn_head' not in model:
        model['bbox_head'].update(in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=2)
        if model['bbox_head']['type'] == 'FCOSHead':
            model['bbox_head']['norm_cfg'] = dict(type='GN', num_groups=16, requires_grad=True)
        return
    model['rpn_head'].update(in_channels=CHANNELS, feat_channels=CHANNELS)
    head = model['roi_head']
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        if head.get(name):
            head[name]['out_channels'] = CHANNELS
            head[name]['roi_layer']['sampling_ratio'] = 1
    for entry in _entries(head['bbox_head']):
        entry.update(in_channels=CHANNELS, fc_out_channels=256, reg_class_agnostic=True)
    for entry in _entries(head.get('mask_head')):
        if entry['type'] == 'FCNMaskHead':
            entry.update(num_convs=2, in_channels=CHANNELS, conv_out_channels=CHANNELS // 2)
        else:  # HTC's heads pass their maps on, so these are of the neck's width
            entry.update(num_convs=2, in_channels=CHANNELS, conv_out_channels=CHANNELS)
    for stage in _entries(model['train_cfg']['rcnn']):
        stage['sampler'].update(num=64, pos_fraction=0.5)
    model['train_cfg']['rpn_proposal'].update(nms_pre=500, max_per_img=200)
    model['test_cfg']['rpn'].update(nms_pre=500, max_per_img=200)


def _entries(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value] if value else []
