"""Which config and checkpoint a user means by a work folder, a checkpoint, a config, or the name of a weight."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hrnet_plugins.recipes import recipe_path
from hrnet_plugins.weights.catalog import CATALOG, SCHEME, named

CHECKPOINTS = ('.pth', '.pth.tar', '.pt', '.pdparams', '.safetensors')
"""Suffixes of checkpoints."""


@dataclass(frozen=True)
class Trained:
    """A config with its weights.

    Args:
        recipe: The config's path, or the name of a published weight.
        checkpoint: The checkpoint's path or name; ``None`` for the weight that ``recipe`` names.
        folder: The work folder that both are from, if they are from one.
    """

    recipe: str
    checkpoint: str | None
    folder: Path | None = None


def find_trained(where: str | os.PathLike[str], *, checkpoint: str | os.PathLike[str] | None = None) -> Trained:
    """Find the config and the checkpoint.

    Args:
        where: A work folder, whose best checkpoint is taken, or its last; a checkpoint in a work folder; a config or
            the name of a recipe, with ``checkpoint``; or the name of a published weight.
        checkpoint: Another checkpoint than the best of the folder, or the one that goes with a config.

    Raises:
        ValueError: If there is no such thing, or a part of it is missing: with what was looked for.
    """
    text = os.fspath(where)
    path = Path(text)
    given = None if checkpoint is None else os.fspath(checkpoint)
    if given is not None and given.endswith(CHECKPOINTS) and '://' not in given and not Path(given).is_file():
        raise ValueError(f'`checkpoint` ({given}) is not there')
    if path.is_dir():
        return Trained(str(config_in(path)), given or str(best_in(path)), path)
    if path.is_file() and text.endswith(CHECKPOINTS):
        if given is not None:
            raise ValueError(f'`where` ({text}) is a checkpoint, and `checkpoint` ({given}) another: name one')
        return Trained(str(config_in(path.parent, about=f'{text} is a checkpoint without a config')), text, path.parent)
    name = text.removeprefix(SCHEME)
    if text.startswith(SCHEME) or (name in CATALOG and not path.is_file() and given is None):
        if given is not None:
            raise ValueError(f'`where` ({text}) is a weight, and `checkpoint` ({given}) another: name one')
        weight = named(name, CATALOG)
        if weight.part != 'model':
            raise ValueError(
                f'`where` ({text}) is the weight of a backbone, which predicts nothing: name a whole model'
            )
        return Trained(f'{SCHEME}{name}', None)
    if not path.is_file() and (os.sep in text or text.endswith(CHECKPOINTS)):
        raise ValueError(f'`where` ({text}) is not there: name a work folder, a config with a checkpoint, or a weight')
    try:
        config = recipe_path(text)
    except ValueError as error:
        raise ValueError(f'{error} It may also be a work folder or a name of `hrnet-plugins weights`'.replace(
            '`recipe`', '`where`')) from None  # fmt: skip
    if given is None:
        raise ValueError(f'`where` ({text}) is a config: name the checkpoint too, or its work folder instead')
    return Trained(str(config), given)


def config_in(folder: Path, *, about: str = '') -> Path:
    """The config that a training left in its work folder; the newest where it left several.

    Raises:
        ValueError: If there is none.
    """
    configs = [path for path in folder.glob('*.py') if path.is_file()]
    configs = configs or list(folder.glob('*/vis_data/config.py'))
    if not configs:
        about = about or f'`where` ({folder}) is no work folder: it has no config, as a training leaves one there'
        raise ValueError(f'{about}; name the config and the checkpoint instead')
    return max(configs, key=lambda path: path.stat().st_mtime)


def best_in(folder: Path) -> Path:
    """The best checkpoint in a work folder, else the last.

    Raises:
        ValueError: If there is none.
    """
    best = [path for path in folder.glob('best_*.pth') if path.is_file()]
    if best:
        return max(best, key=lambda path: path.stat().st_mtime)
    note = folder / 'last_checkpoint'
    if note.is_file():
        text = note.read_text(errors='replace').strip()
        for path in (folder / Path(text).name, Path(text)):  # of a folder that was moved, too
            if text and path.is_file():
                return path
    saved = [path for path in folder.glob('*.pth') if re.fullmatch(r'(epoch|iter)_\d+\.pth', path.name)]
    if not saved:
        raise ValueError(f'`where` ({folder}) has no checkpoint yet: no best_*.pth, epoch_*.pth or iter_*.pth')
    return max(saved, key=lambda path: (path.stat().st_mtime, path.name))
