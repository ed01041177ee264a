"""``hrnet-plugins new``: from a folder of somebody's pictures to a config that trains on them."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from hrnet_plugins.data.beside import write_sets
from hrnet_plugins.data.checks import blocking
from hrnet_plugins.data.config import config_text
from hrnet_plugins.data.content import KINDS, Content, DataError
from hrnet_plugins.data.load import load
from hrnet_plugins.data.machine import Machine
from hrnet_plugins.data.model import model_for
from hrnet_plugins.data.pipelines import Places
from hrnet_plugins.data.plan import Options, Plan, make
from hrnet_plugins.data.pretrained import Weights, dropped, find
from hrnet_plugins.data.recipe import Recipe, choose
from hrnet_plugins.data.source import Code
from hrnet_plugins.data.splits import complete
from hrnet_plugins.data.table import describe, write_problems


def new(
    out: str | Path,
    *,
    data: str | Path,
    recipe: str | None = None,
    arch: str | None = None,
    format: str | None = None,  # noqa: A002, the name of the option
    task: str | None = None,
    classes: str | None = None,
    ignore: list[int] | None = None,
    options: Options | None = None,
    weights: str | None = None,
    from_scratch: bool = False,
    pretrained_only: bool = False,
    heads: str | None = None,
    merge_classes: bool = False,
    drop_broken: bool = False,
    force: bool = False,
    machine: Machine | None = None,
    console: Console | None = None,
    command: str | None = None,
) -> Path:
    """Write a config that trains a recipe on a user's own data, after checking them.

    Nothing in the folder of the data is changed. What the config needs besides it is written into a folder beside it,
    ``NAME_data`` for ``NAME.py``: sets, labels in COCO's form, the list of what is wrong.

    Args:
        out: The config to write.
        data: The folder of pictures and labels.
        recipe: Name or path of a recipe; one that suits data and machine when not given.
        arch: Name of an arch in place of the recipe's.
        format: A key of ``formats.FORMATS`` where it is not to be found out.
        task: ``detection``, ``segmentation`` or ``classification``, where the data would do for more than one.
        classes: Names with commas between them or the path of a list, for label maps and YOLO.
        ignore: Values of label maps that are no class.
        options: Epochs, batch, size, seed, share of the validation set, flips.
        weights: Name or path of the weights to start from; the best that fit when not given.
        from_scratch: Start from none.
        pretrained_only: Without weights, stop.
        heads: ``small`` or ``full``; small ones without a GPU when not given.
        merge_classes: Make classes one that are spelled in two ways.
        drop_broken: Leave out what is broken, where that is otherwise an error.
        force: Replace files that are there.
        machine: What will train; this machine when not given.
        console: Where the table and what is done are printed.
        command: The command line, for the config's first lines.

    Returns:
        The config's path.

    Raises:
        DataError: If something is wrong with the data or the arguments; one line, or a list.
    """
    console = console or Console()
    options = options or Options()
    machine = machine or Machine.here()
    path, folder = _output(out, force=force)
    if heads not in (None, 'small', 'full'):
        raise DataError(f'`--heads` ({heads}) must be small or full')
    content = load(Path(data), format=format, task=task, classes=classes, ignore=ignore, merge_classes=merge_classes)
    stopping = blocking(content, drop_broken=drop_broken)
    if not stopping:
        complete(content, seed=options.seed, val_share=options.val_share)
    console.print(describe(content))
    if stopping:
        raise DataError(_stopped(content, stopping))
    found = choose(content, machine, recipe=recipe, arch=arch)
    small = heads == 'small' or (heads is None and not machine.gpu)
    start = find(found, small=small, named=weights, from_scratch=from_scratch, pretrained_only=pretrained_only)
    plan = replace(make(content, found, machine, options, from_scratch=start.name is None), small=small)
    gone = _dropped(found, content, plan, start)
    folder_written = folder.exists()
    sets = write_sets(content, folder)
    if content.problems:
        write_problems(content, folder / 'problems.txt')
    places = Places(content.root, path.parent, relative=not Path(data).is_absolute())
    text = config_text(
        found, content, plan, options, machine, start, sets, places,
        command=command or f'hrnet-plugins new {out} --data {data}', dropped=gone,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    for line in _summary(found, plan, machine, start, gone):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    written = f'{out}' + (f' and {folder.name}/' if folder.exists() or folder_written else '')
    console.print(
        f'Written: {written}. Next: hrnet-plugins train {shlex.quote(str(out))}', markup=False, soft_wrap=True
    )
    return path


def _output(out: str | Path, *, force: bool) -> tuple[Path, Path]:
    """The config's path and the folder of the files beside it."""
    path = Path(os.path.abspath(out))
    if path.suffix != '.py':
        raise DataError(f'`CONFIG` ({out}) must end in .py')
    if any(mark in str(path) for mark in '\'"\\{}'):
        raise DataError(
            f'`CONFIG` ({path}) must have no quotes, backslashes or braces in its path, which mmengine reads'
        )
    folder = path.with_name(f'{path.stem}_data')
    for there in (path, folder):
        if there.exists() and not force:
            raise DataError(
                f'`CONFIG` ({out}): {there.name} is there already; name another file, or --force to replace it'
            )
    return path, folder


def _stopped(content: Content, kinds: list[str]) -> str:
    lines = []
    for kind in kinds:
        found = content.of(kind)
        row = KINDS[kind]
        lines.append(f'{row.title}: {len(found)}; {row.action}')
        lines += [f'  {problem.where(content.root)}' for problem in found[:20]]
        lines += [f'  ... {len(found) - 20} more'] if len(found) > 20 else []
    return 'nothing was written, since the data have errors:\n' + '\n'.join(lines)


def _dropped(recipe: Recipe, content: Content, plan: Plan, weights: Weights) -> list[str]:
    """The modules that whole-model weights do not fill."""
    if weights.name is None or not weights.whole:
        return []
    model = _resolved(model_for(recipe, content, plan, weights=weights.name, whole=True), len(content.classes))
    return dropped(weights, _shapes(model, recipe))


def _shapes(model: dict[str, Any], recipe: Recipe) -> dict[str, tuple[int, ...]]:
    from mmengine.config import ConfigDict  # noqa: PLC0415, mmengine is slow to import
    from mmengine.registry import MODELS, DefaultScope  # noqa: PLC0415, slow to import
    from mmengine.utils import import_modules_from_strings  # noqa: PLC0415, slow to import

    import hrnet_plugins.registry  # noqa: F401, PLC0415, it names the registries to mmengine

    import_modules_from_strings(**recipe.cfg.get('custom_imports') or dict(imports=[]))
    with DefaultScope.overwrite_default_scope(recipe.framework):
        built = MODELS.build(ConfigDict(model))
    return {key: tuple(value.shape) for key, value in built.state_dict().items()}


def _resolved(node: Any, classes: int) -> Any:
    """A value with the number of classes in place of its name."""
    if isinstance(node, Code):
        return classes
    if isinstance(node, dict):
        return {key: _resolved(value, classes) for key, value in node.items()}
    return [_resolved(value, classes) for value in node] if isinstance(node, list) else node


def _summary(recipe: Recipe, plan: Plan, machine: Machine, weights: Weights, gone: list[str]) -> list[str]:
    arch = f' with {recipe.arch}' if recipe.arch != recipe.own_arch else ''
    lines = [f'Recipe: {recipe.name}{arch}, for {machine}.', *weights.messages]
    if weights.name is not None:
        head = f' Not loaded, as the classes are others: {", ".join(gone)}.' if gone else ''
        part = 'the whole model' if weights.whole else 'the backbone'
        lines.append(f'Weights: {weights.name}, for {part}.{head}')
    size = '{}x{}'.format(*plan.size)
    amp = f', mixed precision in {plan.amp}' if plan.amp else ''
    lines.append(f'Training: {plan.epochs} epochs of {plan.steps} steps, {plan.batch} pictures of {size} each{amp}.')
    return lines
