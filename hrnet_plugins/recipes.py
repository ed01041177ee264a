"""Find recipes by name, and the framework that runs each on the installed stack."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    """The file of a recipe given by name, by name with ``.py``, or by path; or of a config that a framework brings.

    Args:
        recipe: Such as ``'fcos_hrnetv2p-w18_1x_coco'``, or ``'mmseg::hrnet/fcn_hr18_4xb4-80k_ade20k-512x512.py'``.

    Raises:
        ValueError: If there is neither such a file nor such a recipe, or the framework is not installed.
    """
    if Path(recipe).is_file():
        return Path(recipe).resolve()
    framework, sign, config = recipe.partition('::')
    if sign and framework in FRAMEWORKS:
        path = framework_folder(framework) / 'configs' / config
        if not path.is_file():
            raise ValueError(f'`recipe` ({recipe}): the installed {framework} has no config {config}')
        return path
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
        ValueError: If the scope is none of mmdet, mmseg and mmpretrain, or a framework that the config builds on is
            not installed.
    """
    # What a config imports, which may be a framework, decides nothing here.
    return _framework(read_config(path, imports=False))


def read_config(path: Path, *, imports: bool = True) -> Config:
    """Read a config file, with its bases.

    Args:
        path: The file.
        imports: Import what it names in ``custom_imports``.

    Raises:
        ValueError: If it builds on a framework that is not installed.
    """
    try:
        from mmengine.config import Config  # noqa: PLC0415, mmengine is slow to import and `list` has no need of it
    except ImportError:
        raise ValueError(_not_installed('mmengine')) from None
    try:
        return Config.fromfile(path, import_custom_modules=imports)
    except Exception as error:  # of the frameworks' import, or mmengine's own for a package that is not there
        for name in FRAMEWORKS:
            if f'{name}::' in _sources(path) and importlib.util.find_spec(name) is None:
                raise ValueError(_not_installed(name)) from error
        raise


def _sources(path: Path) -> str:
    """The text of a config and of the bases that are files of its own folder or above."""
    texts, todo, seen = [], [path], set()
    while todo:
        file = todo.pop().resolve()
        if file not in seen and file.is_file():
            seen.add(file)
            texts.append(file.read_text(errors='replace'))
            todo += [
                file.parent / base for base in re.findall(r"""['"]([^'"]+\.py)['"]""", texts[-1]) if '::' not in base
            ]
    return '\n'.join(texts)


def _not_installed(framework: str) -> str:
    return (
        f"{framework} is not installed: pip install 'hrnet-plugins[onedl]' or 'hrnet-plugins[openmmlab]', as "
        'docs/install.md says'
    )


def _framework(config: Config) -> str:
    scope = config.get('default_scope')
    if scope not in FRAMEWORKS:
        known = ', '.join(FRAMEWORKS)
        raise ValueError(f'`default_scope` ({scope}) of {config.filename} must be one of {known}')
    return scope


def model_of(path: Path) -> torch.nn.Module:
    """Build the model of a config file, without pretrained weights."""
    return build_model(read_config(path))


def build_model(config: Config) -> torch.nn.Module:
    """Build the model of a config, without pretrained weights.

    Raises:
        ValueError: If it has no model, or its ``default_scope`` is none of mmdet, mmseg and mmpretrain, or that is not
            installed.
    """
    from mmengine.registry import MODELS, DefaultScope  # noqa: PLC0415, mmengine is slow to import

    scope = _framework(config)
    distribution_of(scope)
    if 'model' not in config:
        raise ValueError(f'{config.filename} has no `model`')
    model = config.model
    if config.get('data_preprocessor') is not None and 'data_preprocessor' not in model:
        model = {**model, 'data_preprocessor': config.data_preprocessor}  # mmpretrain's place for it, as in the runner
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(model)


def meta_of_recipe(path: Path) -> dict[str, Any]:
    """As ``meta_of_config`` for a config file."""
    return meta_of_config(read_config(path))


def meta_of_config(config: Config) -> dict[str, Any]:
    """The classes and palette of a config's data set, as mmengine keeps them: ``dict(dataset_meta=...)``.

    No file of the data set has to be there. Empty where the config has no data set, or its classes have no names.
    """
    from mmengine.registry import DATASETS  # noqa: PLC0415, mmengine is slow to import
    from mmengine.utils import import_modules_from_strings  # noqa: PLC0415

    cfg = next(
        (config[f'{use}_dataloader'].dataset for use in ('test', 'val', 'train') if config.get(f'{use}_dataloader')),
        None,
    )
    while cfg is not None and ('dataset' in cfg or 'datasets' in cfg):  # wrappers
        cfg = cfg.dataset if 'dataset' in cfg else cfg.datasets[0]
    if cfg is None:
        return {}
    scope = _framework(config)
    importlib.import_module(f'{scope}.datasets')
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    with DATASETS.switch_scope_and_registry(scope) as registry:
        cls = registry.get(cfg.type) if isinstance(cfg.type, str) else cfg.type
    return plain_meta({**getattr(cls, 'METAINFO', {}), **(cfg.get('metainfo') or {})})


def plain_meta(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """The classes and palette of a data set, as a tuple and a list: ``dict(dataset_meta=...)``; empty without names.

    These are what files can hold and the frameworks read; a palette of another length than the classes is left out, as
    is what is neither, since a file may hold anything under these keys.
    """
    known = {str(key).lower(): value for key, value in metainfo.items()}
    classes, palette = known.get('classes'), known.get('palette')
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        return {}
    found: dict[str, Any] = {'classes': tuple(classes)}
    if isinstance(palette, (list, tuple)) and len(palette) == len(classes):
        with contextlib.suppress(TypeError, ValueError):
            found['palette'] = [list(map(int, colour)) for colour in palette]
    return dict(dataset_meta=found)


def distribution_of(framework: str) -> str:
    """The name of the installed package that provides a framework, which is how mim calls it.

    Raises:
        ValueError: If neither stack provides it here.
    """
    for name in distributions([framework]):
        return name
    raise ValueError(_not_installed(framework))


def framework_tool(framework: str, tool: str) -> Path:
    """The path of a framework's own tool, such as ``test`` or ``analysis_tools/get_flops``.

    Raises:
        ValueError: If the framework is not installed.
    """
    return framework_folder(framework) / 'tools' / f'{tool}.py'


def framework_folder(framework: str) -> Path:
    """The folder in which a framework brings its configs and tools.

    Raises:
        ValueError: If the framework is not installed.
    """
    spec = importlib.util.find_spec(framework)
    if spec is None or spec.origin is None:
        distribution_of(framework)
        raise ValueError(f'{framework} does not import')
    return Path(spec.origin).parent / '.mim'


def installed_frameworks() -> list[str]:
    """Those of mmdet, mmseg and mmpretrain that are installed."""
    return [name for name in FRAMEWORKS if importlib.util.find_spec(name) is not None]
