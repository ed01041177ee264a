"""The weights that a training starts from: which fit, whether they can be had, and what of them is dropped."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_plugins.data.content import DataError
from hrnet_plugins.data.recipe import Recipe

SCHEME = 'hrnet://'
_LEAST = 0.3
"""The share of a model's entries that whole-model weights have to fill to be worth their name."""
_TRIED = 3
"""Names that are tried for one training: each may take several dead addresses' time."""


@dataclass(frozen=True)
class Weights:
    """What a training starts from.

    Args:
        name: ``hrnet://NAME`` or a path; ``None`` for none.
        whole: They are a whole model's, for ``load_from``; else the backbone's.
        messages: What the user should know, a line each.
        state: The weights by key, to compare with the model; empty where there are none.
    """

    name: str | None
    whole: bool
    messages: tuple[str, ...]
    state: Mapping[str, Any]


def candidates(recipe: Recipe, *, small: bool) -> list[tuple[str, bool]]:
    """Named weights for a recipe, best first, and whether each is a whole model.

    Args:
        recipe: With its arch.
        small: The heads are made small, so those of published models do not fit.
    """
    from hrnet_plugins.weights.catalog import CATALOG  # noqa: PLC0415, it imports torch

    arch = recipe.arch
    names: list[str] = []
    if recipe.framework == 'mmdet' and recipe.two_stage and not small:
        names = [name for name in CATALOG if name.startswith(f'faster-rcnn_hrnetv2p-{arch}_')]
    elif recipe.framework == 'mmpretrain':
        names = [name for name in CATALOG if re.fullmatch(rf'cls_{arch}(_ssld|_cutmix)?', name)]
    elif recipe.framework == 'mmseg' and not small:
        kind = 'ocr' if isinstance(recipe.model['decode_head'], list) else 'seg'
        names = [name for name in CATALOG if name.startswith(f'{kind}_{arch}_') and not name.endswith('trainval')]
        # Of weights of several data sets, those of the recipe's.
        names = [name for name in names if name.rsplit('_', 1)[1][:9] in recipe.name.replace('-', '')] or names[:1]
    ranked = sorted(names, key=lambda name: _score(CATALOG[name].score), reverse=True)
    backbone = (recipe.cfg['model']['backbone'].get('init_cfg') or {}).get('checkpoint')
    found = [(SCHEME + name, True) for name in ranked]
    if arch and arch == recipe.own_arch and backbone:
        found.append((backbone, False))
    elif arch in CATALOG:
        found.append((SCHEME + arch, False))
    elif not arch and backbone:
        found.append((backbone, False))
    return found


def find(
    recipe: Recipe, *, small: bool, named: str | None = None, from_scratch: bool = False, pretrained_only: bool = False
) -> Weights:
    """The best weights that can be had.

    Args:
        recipe: With its arch.
        small: The heads are made small.
        named: Weights that the user names, ``hrnet://NAME``, a name alone, or a path.
        from_scratch: The user wants none.
        pretrained_only: Without weights it is an error.

    Raises:
        DataError: If the named ones cannot be had, or none can and ``pretrained_only`` is set.
    """
    if from_scratch and (named or pretrained_only):
        raise DataError('`--from-scratch` contradicts `--weights` and `--pretrained-only`: leave one out')
    if from_scratch:
        return Weights(None, False, ('Weights: none, as asked (--from-scratch).',), {})
    if named is not None:
        name = named if '://' in named or Path(named).exists() else SCHEME + named
        try:
            state = load(name)
        except (ValueError, FileNotFoundError, OSError) as error:
            raise DataError(f'`--weights` ({named}) cannot be had: {error}') from None
        if not Path(name).exists() or '://' in name:
            return Weights(name, _is_whole(state), (), state)
        return Weights(str(Path(name).resolve()), _is_whole(state), (), state)
    failures: list[str] = []
    logger = logging.getLogger('hrnet_plugins.weights')
    level = logger.level
    logger.setLevel(logging.ERROR)  # each address that fails is a warning of its own, and said here once more
    try:
        for name, whole in candidates(recipe, small=small)[:_TRIED]:
            try:
                return Weights(name, whole, tuple(failures), load(name))
            except (ValueError, FileNotFoundError, OSError, RuntimeError) as error:
                failures.append(f'Weights: {name} cannot be had ({_short(error)}).')
    finally:
        logger.setLevel(level)
    if pretrained_only:
        reasons = ' '.join(failures) or f'no named weights fit {recipe.name} with {recipe.arch or "its backbone"}.'
        raise DataError(f'there are no weights to start from, and --pretrained-only is set. {reasons}')
    failures = failures or [f'Weights: none with a name fit {recipe.name} with {recipe.arch or "its backbone"}.']
    return Weights(None, False, (*failures, _SCRATCH), {})


_SCRATCH = (
    'Training starts from scratch: norms learn their statistics, and the optimizer is AdamW. Scores will be lower than '
    'with weights; put a file into the folder that HRNET_PLUGINS_WEIGHTS names, or give --weights.'
)


def load(name: str) -> Mapping[str, Any]:
    """The state dict of named weights or of a checkpoint file."""
    from mmengine.runner import CheckpointLoader  # noqa: PLC0415, mmengine is slow to import

    import hrnet_plugins.registry  # noqa: F401, PLC0415, it makes hrnet:// names known to mmengine

    loaded = CheckpointLoader.load_checkpoint(name, map_location='cpu', logger='silent')
    return loaded.get('state_dict', loaded)


def dropped(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The modules of a model for which whole-model weights have another shape: its last layers, for other classes.

    Args:
        weights: Those of a whole model.
        shapes: Of the model's entries, by key.

    Raises:
        DataError: If the weights hardly fit the model.
    """
    state = {key: tuple(value.shape) for key, value in weights.state.items() if hasattr(value, 'shape')}
    fits = [key for key, shape in shapes.items() if state.get(key) == shape]
    if len(fits) < _LEAST * len(shapes):
        raise DataError(
            f'`--weights` ({weights.name}) fill {len(fits)} of the {len(shapes)} entries of this model: they are '
            'those of another'
        )
    other = [key for key, shape in shapes.items() if key in state and state[key] != shape]
    return list(dict.fromkeys(key.rsplit('.', 1)[0] for key in other))


def _is_whole(state: Mapping[str, Any]) -> bool:
    return any(key.startswith('backbone.') for key in state)


def _score(text: str) -> float:
    numbers = re.findall(r'\d+(?:\.\d+)?', text)
    return float(numbers[-1]) if numbers else 0.0


def _short(error: BaseException) -> str:
    """The first line of an error that has a line for each address that was tried."""
    lines = str(error).splitlines() or [type(error).__name__]
    reasons = [line.strip().rsplit(': ', 1)[-1] for line in lines[1:] if line.startswith('  ')]
    first = re.sub(r'^hrnet://\S+ could not be had from any of its sources:$', '', lines[0]).strip()
    return (first or '; '.join(dict.fromkeys(reasons)))[:160]
