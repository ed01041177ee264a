"""Find recipes by name, and the framework that runs each on the installed stack."""

from __future__ import annotations

import difflib
import importlib.util
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_plugins.environment import distributions

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

MIM_ROOT = Path(__file__).parent / '.mim'
"""Where mim looks for a package's configs, tools and model index; links into the checkout when installed editable."""

FRAMEWORKS = ('mmdet', 'mmseg', 'mmpretrain')
"""What runs recipes."""


def recipes() -> dict[str, Path]:
    """Path of every recipe by its name, the file's stem, in alphabetical order."""
    root = (MIM_ROOT / 'configs').resolve()
    found = (path for path in root.rglob('*.py') if '_base_' not in path.parts)
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def recipe_path(recipe: str) -> Path:
    """The file of a recipe given by name, by name with ``.py``, or by path.

    Raises:
        ValueError: If there is neither such a file nor such a recipe.
    """
    if Path(recipe).is_file():
        return Path(recipe).resolve()
    known = recipes()
    name = recipe.removesuffix('.py')
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f'did you mean {", ".join(close)}?' if close else 'pass the path of a config.'
    raise ValueError(f'`recipe` ({recipe}) is neither a file nor a recipe of `hrnet-plugins list`; {hint}')


def framework_of(path: Path) -> str:
    """The framework whose runner and tools a config is for: its ``default_scope``.

    Raises:
        ValueError: If the scope is none of mmdet, mmseg and mmpretrain.
    """
    from mmengine.config import Config  # noqa: PLC0415, mmengine is slow to import and `list` has no need of it

    # What a config imports, which may be a framework, decides nothing here.
    return _framework(Config.fromfile(path, import_custom_modules=False))


def _framework(config: Config) -> str:
    scope = config.get('default_scope')
    if scope not in FRAMEWORKS:
        known = ', '.join(FRAMEWORKS)
        raise ValueError(f'`default_scope` ({scope}) of {config.filename} must be one of {known}')
    return scope


def model_of(path: Path) -> torch.nn.Module:
    """Build the model of a config file, without pretrained weights."""
    from mmengine.config import Config  # noqa: PLC0415, mmengine is slow to import and `list` has no need of it

    return build_model(Config.fromfile(path))


def build_model(config: Config) -> torch.nn.Module:
    """Build the model of a config, without pretrained weights.

    Raises:
        ValueError: If its ``default_scope`` is none of mmdet, mmseg and mmpretrain, or that is not installed.
    """
    from mmengine.registry import MODELS, DefaultScope  # noqa: PLC0415, mmengine is slow to import

    scope = _framework(config)
    distribution_of(scope)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(config.model)


def distribution_of(framework: str) -> str:
    """The name of the installed package that provides a framework, which is how mim calls it.

    Raises:
        ValueError: If neither stack provides it here.
    """
    for name in distributions([framework]):
        return name
    raise ValueError(
        f"{framework} is not installed: pip install 'hrnet-plugins[onedl]' or 'hrnet-plugins[openmmlab]', as the "
        'README says'
    )


def framework_tool(framework: str, tool: str) -> Path:
    """The path of a framework's own tool, such as ``test`` or ``analysis_tools/get_flops``.

    Raises:
        ValueError: If the framework is not installed.
    """
    spec = importlib.util.find_spec(framework)
    if spec is None or spec.origin is None:
        distribution_of(framework)
        raise ValueError(f'{framework} does not import')
    return Path(spec.origin).parent / '.mim' / 'tools' / f'{tool}.py'


def run_framework_tool(tool: str) -> None:
    """Become the framework's tool: the first argument of the command line is the config, the rest is the tool's."""
    args = sys.argv[1:]
    framework = 'mmdet' if not args or args[0].startswith('-') else framework_of(recipe_path(args[0]))
    path = framework_tool(framework, tool)
    sys.argv[0] = str(path)
    runpy.run_path(str(path), run_name='__main__')
