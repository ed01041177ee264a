"""The recipe that a config starts from, and the arch and weights that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_plugins.archs import ARCHS, HRNetArch
from hrnet_plugins.data.content import Content, DataError, Task
from hrnet_plugins.data.machine import Machine
from hrnet_plugins.recipes import distribution_of, recipe_path

TASK_OF: dict[str, Task] = {'mmdet': 'detection', 'mmseg': 'segmentation', 'mmpretrain': 'classification'}
_FRAMEWORK_OF = {task: framework for framework, task in TASK_OF.items()}
SMALL = 'w18_small_v1'
"""The arch for machines without a GPU."""
LARGE_GPU = 12.0
"""Units of 1e9 bytes from which a GPU gets the larger of the default recipes."""
_DEFAULTS = {
    # Without a GPU, on a small one, on a large one.
    'boxes': (
        'faster-rcnn_hrnetv2p-w18_1x_coco',
        'faster-rcnn_hrnetv2p-w18_1x_coco',
        'faster-rcnn_hrnetv2p-w32_1x_coco',
    ),
    'outlines': (
        'mask-rcnn_hrnetv2p-w18_1x_coco',
        'mask-rcnn_hrnetv2p-w18_1x_coco',
        'mask-rcnn_hrnetv2p-w32_1x_coco',
    ),
    'segmentation': (
        'ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024',
        'ocr_hrnetv2-w18_484e_cityscapes-512x1024',
        'ocr_hrnetv2-w48_484e_cityscapes-512x1024',
    ),
    'classification': ('hrnet-w18-small-v1_100e_in1k', 'hrnet-w18_100e_in1k', 'hrnet-w32_100e_in1k'),
}


@dataclass(frozen=True)
class Recipe:
    """A recipe with what it says.

    Args:
        path: Its file.
        cfg: All that it says, base configs included.
        arch: Name of the arch that is to be trained; empty for another backbone than HRNet.
        own_arch: Name of the arch that the recipe itself has.
    """

    path: Path
    cfg: dict[str, Any]
    arch: str
    own_arch: str

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.path.stem

    @property
    def framework(self) -> str:
        """``mmdet``, ``mmseg`` or ``mmpretrain``."""
        return str(self.cfg['default_scope'])

    @property
    def model(self) -> dict[str, Any]:
        """The model as the recipe has it."""
        return self.cfg['model']

    @property
    def with_masks(self) -> bool:
        """Whether the model learns outlines."""
        return 'mask_head' in self.model.get('roi_head', {})

    @property
    def two_stage(self) -> bool:
        """Whether the model has region proposals."""
        return 'rpn_head' in self.model

    def channels(self) -> tuple[int, ...]:
        """Channels of the maps of the arch."""
        return HRNetArch.of(self.arch).channels


def choose(content: Content, machine: Machine, *, recipe: str | None = None, arch: str | None = None) -> Recipe:
    """The recipe that the user names or, for the data and the machine, a sensible one.

    Args:
        content: The data.
        machine: What will train.
        recipe: Name or path of a recipe.
        arch: Name of an arch to put in place of the recipe's.

    Raises:
        DataError: If the recipe is unknown, only tests, or is for another task; if the arch is unknown.
        ValueError: If the task's framework is not installed.
    """
    from mmengine.config import Config  # noqa: PLC0415, mmengine is slow to import

    if arch is not None and arch not in ARCHS:
        raise DataError(f'`--arch` ({arch}) is unknown; known: {", ".join(ARCHS)}')
    distribution_of(_FRAMEWORK_OF[content.task])
    key = content.task if content.task != 'detection' else 'outlines' if content.has_outlines else 'boxes'
    if recipe is None:
        column = 0 if not machine.gpu else 1 if machine.memory_gb < LARGE_GPU else 2
        name = _DEFAULTS[key][column]
        arch = arch or (SMALL if not machine.gpu else None)
    else:
        name = recipe
    try:
        path = recipe_path(name)
    except ValueError as error:
        raise DataError(str(error).replace('`recipe`', '`--recipe`')) from None
    cfg = _without_scopes(Config.fromfile(path).to_dict())
    framework = cfg.get('default_scope')
    if framework not in TASK_OF:
        raise DataError(
            f'`--recipe` ({name}) has the default_scope {framework}, which must be one of {", ".join(TASK_OF)}'
        )
    if TASK_OF[framework] != content.task:
        raise DataError(
            f'`--recipe` ({name}) is for {TASK_OF[framework]}, and {content.root} holds {content.format} for '
            f'{content.task}: name another recipe of `hrnet-plugins list`'
        )
    if not cfg.get('train_dataloader') or not cfg.get('optim_wrapper'):
        raise DataError(f'`--recipe` ({name}) only tests, it has no training: name another of `hrnet-plugins list`')
    backbone = cfg['model']['backbone']
    own = backbone.get('arch', '') if backbone['type'] == 'hrnet_plugins.HRNet' else ''
    if not isinstance(own, str):
        own = ''
    if arch is not None and not own:
        raise DataError(f'`--arch` ({arch}) needs a recipe with a named HRNet, and {name} has {backbone["type"]}')
    found = Recipe(path, cfg, arch or own, own)
    if found.with_masks and not content.has_outlines:
        raise DataError(
            f'`--recipe` ({name}) learns outlines, and the objects of {content.root} have none: name a recipe for '
            'boxes, such as faster-rcnn_hrnetv2p-w18_1x_coco'
        )
    return found


def _without_scopes(node: Any) -> Any:
    """A value without the scopes that mmengine notes in what it inherits from a framework's config."""
    if isinstance(node, dict):
        return {key: _without_scopes(value) for key, value in node.items() if key != '_scope_'}
    return [_without_scopes(value) for value in node] if isinstance(node, list) else node
