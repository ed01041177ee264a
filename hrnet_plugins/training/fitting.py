"""Holding the checkpoint that a run loads to the run's model."""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import Tensor, nn

from hrnet_plugins.models.load_from import fit_backbones
from hrnet_plugins.state_dicts import check_entries, is_counter

_ENOUGH = 0.9
"""Part of the backbone's entries that fine-tuning must find in a checkpoint."""
_HELP = 'Official and other published files are converted with `hrnet-plugins convert FILE NEW.pth --check RECIPE`'


def check_fit(checkpoint: dict[str, Any], model: nn.Module, *, name: str, whole: bool) -> None:
    """Check that a checkpoint is one of this model. mmengine loads what fits and leaves the rest as it was.

    Args:
        checkpoint: What was read, with or without ``state_dict``.
        model: The model, wrapped or not.
        name: What the checkpoint is called in messages.
        whole: Every entry has to fit, as in a test. Otherwise the backbone's have to, so that a run may begin with
            weights of other classes; an HRNet may have any prefix there.

    Raises:
        ValueError: Saying what does not fit.
    """
    inside: Any = model
    while is_model_wrapper(inside) or isinstance(inside, BaseTTAModel):
        inside = inside.module
    content = checkpoint.get('state_dict', checkpoint)
    found = {str(key).removeprefix('module.'): value for key, value in content.items() if isinstance(value, Tensor)}
    own = inside.state_dict()
    if not whole:
        try:
            found = fit_backbones(inside, found)  # as mmengine's own loading does after this
        except ValueError as error:
            raise ValueError(f'`load_from` ({name}) does not fit: {_first(str(error))}. {_HELP}') from None
        own = {key: value for key, value in own.items() if key.startswith('backbone.')} or own
    needed = [key for key in own if not is_counter(key)]
    lacking = [key for key in needed if key not in found]
    if len(lacking) > (1 - _ENOUGH) * len(needed):
        part = '' if whole else ', its backbone,'
        raise ValueError(
            f'`load_from` ({name}) has {len(needed) - len(lacking)} of the {len(needed)} entries of this '
            f"{type(inside).__name__}{part} and so is of another model, or has another program's names. {_HELP}"
        )
    known = {key: value for key, value in found.items() if key in own}
    if not whole:
        known = {**{key: own[key] for key in lacking}, **known}
    try:
        check_entries(known, own, name=type(inside).__name__)
    except ValueError as error:
        raise ValueError(f'`load_from` ({name}) does not fit: {_first(str(error))}. {_HELP}') from None


def _first(text: str) -> str:
    line = text.replace('\n', '; ')
    return line if len(line) <= 600 else line[:600] + ' ...'
