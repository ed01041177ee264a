"""The config of the model that a named weight loads into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_plugins.recipes import recipe_path
from hrnet_plugins.weights.catalog import Weight

if TYPE_CHECKING:
    from mmengine.config import Config

DROPIN = 'hrnet_plugins.dropin'
"""What puts our classes behind the names in a config that a framework brings."""


def config_of(name: str, weight: Weight) -> Config:
    """The config that a weight is tested with: our recipe's, or the framework's own with the drop-in.

    It has the changes under which the score was published. A config with the drop-in names it in ``custom_imports``,
    and it is imported here.

    Raises:
        ValueError: If the weight is a backbone's, or its framework is not installed.
    """
    from mmengine.config import Config  # noqa: PLC0415, mmengine is slow to import and the list has no need of it
    from mmengine.utils import import_modules_from_strings  # noqa: PLC0415

    if weight.part == 'backbone':
        raise ValueError(
            f'{name} is a backbone, and there is no model of it: its classifier is cls_{name}. For the backbone itself '
            f'call create_backbone({weight.arch!r}, pretrained={name!r})'
        )
    config = Config.fromfile(recipe_path(weight.recipe))
    config.merge_from_dict(dict(weight.options))
    if '::' in weight.recipe:
        config.custom_imports = dict(imports=[DROPIN])
        import_modules_from_strings(**config.custom_imports)
    return config


def config_file(name: str, weight: Weight, folder: Path) -> Path:
    """The file of that config: the recipe's own where the weight changes nothing, else one written into a folder.

    Args:
        name: The weight's name, which a file written here has.
        weight: Its row.
        folder: Where to write.

    Raises:
        ValueError: As ``config_of``.
    """
    if weight.recipe and '::' not in weight.recipe and not weight.options:
        return recipe_path(weight.recipe)
    path = folder / f'{name}.py'
    config_of(name, weight).dump(path)
    return path
