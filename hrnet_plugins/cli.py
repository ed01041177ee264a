"""The ``hrnet-plugins`` command: recipes by name, run by mim and the frameworks' own tools."""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from hrnet_plugins import __version__
from hrnet_plugins import weights as library
from hrnet_plugins.command_help import GroupedCommands, complete_checkpoint, complete_recipe, example
from hrnet_plugins.launch import start
from hrnet_plugins.metafiles import published
from hrnet_plugins.options import check_options, config_options
from hrnet_plugins.recipes import (
    distribution_of,
    framework_of,
    meta_of_recipe,
    model_of,
    read_config,
    recipe_path,
)
from hrnet_plugins.weights.catalog import CATALOG, SCHEME, Weight, find, named
from hrnet_plugins.weights.dataset_meta import meta_of_file
from hrnet_plugins.weights.describe import manual, row_text
from hrnet_plugins.weights.trust import TRUST_VARIABLE, is_trusted

_PASS_ON = dict(ignore_unknown_options=True, allow_interspersed_args=False, help_option_names=['--help'])
_CHECKPOINTS = ('.pth', '.pth.tar', '.pdparams', '.safetensors')
_MMENGINE_HOOK = ('CheckpointHook', 'mmengine.CheckpointHook')
_TRUST = 'Read files that ask for more than tensors, running what they hold; only where you trust whoever made them.'
_LAUNCHER = re.compile('--launcher(=|$)|-l')


def _trust(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Take the word for what is read from now on, and by what is started."""
    if value:
        os.environ[TRUST_VARIABLE] = '1'


@click.group(
    cls=GroupedCommands,
    context_settings=dict(help_option_names=['-h', '--help']),
    epilog=example('hrnet-plugins list fcos w18', 'hrnet-plugins train --help'),
)
@click.version_option(__version__)
def main() -> None:
    """HRNet for mmdet, mmseg and mmpretrain.

    Commands, options and names are completed by the shell once it has been told, in bash with this line in ~/.bashrc,
    and with zsh_source and fish_source in the files of those shells:

    \b
      eval "$(_HRNET_PLUGINS_COMPLETE=bash_source hrnet-plugins)"
    """  # noqa: D301, the sign that keeps click from wrapping a line


@main.command('list', epilog=example('hrnet-plugins list fcos w18'))
@click.argument('words', nargs=-1)
def list_recipes(words: tuple[str, ...]) -> None:
    """List the recipes whose names contain all WORDS, with their published scores."""
    table = _table('recipe', 'folder', 'published')
    for name, row in sorted(published().items()):
        if all(word in name for word in words):
            table.add_row(name, row.folder, ', '.join(f'{metric} {value}' for metric, value in row.scores.items()))
    _show(table)


@main.command(epilog=example('hrnet-plugins path fcos_hrnetv2p-w18_1x_coco'))
@click.argument('recipe', shell_complete=complete_recipe)
def path(recipe: str) -> None:
    """Print the path of RECIPE, for use in a config's _base_ or by other tools."""
    click.echo(str(_path(recipe)))


@main.command(
    epilog=example('hrnet-plugins new cells.py --data cells/', 'hrnet-plugins new cells.py --data cells/ --epochs 20')
)
@click.argument('config')
@click.option('--data', required=True, help='The folder of pictures and labels.')
@click.option('--recipe', help='Name or path of the recipe; one that suits data and machine when not given.')
@click.option('--arch', help="Arch in place of the recipe's, such as w18_small_v1.")
@click.option('--task', help='detection, segmentation or classification, where the data would do for more than one.')
@click.option('--format', 'fmt', help='coco, voc, yolo, labelme, masks or folders, where it is not to be found out.')
@click.option('--classes', help='Names with commas between them, or a file with a list, for label maps and YOLO.')
@click.option('--ignore', type=int, multiple=True, help='Value of label maps that is no class; may be repeated.')
@click.option('--epochs', type=int, help='Epochs to train; enough for the size of the data when not given.')
@click.option('--batch', type=int, help='Pictures a step.')
@click.option('--size', type=int, help='Longest side of a picture in training, in pixels.')
@click.option('--seed', type=int, default=0, show_default=True, help='Of a split that is made, and of the training.')
@click.option('--val-share', type=float, default=0.2, show_default=True, help='Share of a validation set that is made.')
@click.option('--no-flip', is_flag=True, help='Mirrored pictures are not as good as others.')
@click.option('--heads', help='small or full; small ones without a GPU when not given.')
@click.option('--weights', help='Name or file of the weights to start from; the best that fit when not given.')
@click.option('--from-scratch', is_flag=True, help='Start from no weights.')
@click.option('--pretrained-only', is_flag=True, help='Stop where no weights can be had.')
@click.option('--merge-classes', is_flag=True, help='Make classes one that are spelled in two ways.')
@click.option('--drop-broken', is_flag=True, help='Leave broken labels out, which otherwise stop.')
@click.option('--force', is_flag=True, help='Replace files that are there.')
def new(
    config: str,
    fmt: str | None,
    ignore: tuple[int, ...],
    epochs: int | None,
    batch: int | None,
    size: int | None,
    seed: int,
    val_share: float,
    no_flip: bool,
    **others: Any,
) -> None:
    """Write CONFIG, a .py file that trains a recipe on your own pictures, after checking them.

    Recognised are COCO, PASCAL VOC, YOLO and LabelMe files, label maps, and a folder of pictures a class. Nothing in
    that folder is changed; what else CONFIG needs is written beside it.
    """
    from hrnet_plugins import data as library  # noqa: PLC0415, it imports what reads pictures

    try:
        options = library.Options(
            epochs=epochs, batch=batch, size=size, seed=seed, val_share=val_share, flip=not no_flip
        )
        command = shlex.join(['hrnet-plugins', *sys.argv[1:]])
        library.new(config, format=fmt, ignore=list(ignore) or None, options=options, command=command, **others)
    except (ValueError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from None


@main.command(
    context_settings=_PASS_ON,
    epilog=example(
        'hrnet-plugins train faster-rcnn_hrnetv2p-w18_1x_coco --work-dir work_dirs/w18',
        'hrnet-plugins train cells.py --launcher pytorch --gpus 8 --resume',
    ),
)
@click.argument('recipe', shell_complete=complete_recipe)
@click.argument('options', nargs=-1, type=click.UNPROCESSED)
def train(recipe: str, options: tuple[str, ...]) -> None:
    """Train RECIPE, a name or a path; OPTIONS are those of mim train and of the framework's train tool.

    --launcher pytorch --gpus N trains with N processes, on CPUs where the machine has no GPU. --no-progress leaves out
    the line that shows step, loss, speed and time left between the lines of the log. Files are read without running
    anything they hold; --trust reads those that need it, where you trust whoever made them.
    """
    full = _with_progress(options)
    _mim('train', _path(recipe), _without_gpus(full) if any(map(_LAUNCHER.match, full)) else full, given=options)


@main.command(
    context_settings=_PASS_ON,
    epilog=example(
        'hrnet-plugins test ocr_w48_cityscapes',
        'hrnet-plugins test faster-rcnn_hrnetv2p-w18_1x_coco epoch_12.pth --out predictions.pkl',
    ),
)
@click.argument('recipe', shell_complete=complete_recipe)
@click.argument('checkpoint', required=False, shell_complete=complete_checkpoint)
@click.argument('options', nargs=-1, type=click.UNPROCESSED)
def test(recipe: str, checkpoint: str | None, options: tuple[str, ...]) -> None:
    """Test CHECKPOINT with RECIPE; OPTIONS are those of mim test and of the framework's test tool.

    Instead of both, the name of a published weight, as `hrnet-plugins weights` lists them: it knows its recipe.
    CHECKPOINT must fit the model of RECIPE. It is read without running anything it holds; --trust reads it where you
    trust whoever made it and it needs that. --no-progress leaves out the line that shows step, speed and time left
    between the lines of the log.
    """
    name = recipe.removeprefix(SCHEME)
    if checkpoint is not None and checkpoint.startswith('-'):
        options = (checkpoint, *options)
        checkpoint = None
    misplaced = any(option.endswith(_CHECKPOINTS) for option in options)
    if checkpoint is None and name in CATALOG and not misplaced:
        _test_weight(name, options)
    if checkpoint is None and options[:1] not in (('-h',), ('--help',)):
        found = f'{options[0]} stands there' if options else 'nothing stands there'
        raise click.UsageError(
            f'CHECKPOINT comes right after RECIPE, before the options; {found}. Only a name of `hrnet-plugins weights` '
            'needs none'
        )
    _mim(
        'test',
        _path(recipe),
        options if checkpoint is None else ('--checkpoint', checkpoint, *_with_progress(options)),
        given=options,
    )


def _test_weight(name: str, options: tuple[str, ...]) -> NoReturn:
    """Run the framework's test tool on a named weight; only asked for help, it asks for no weight."""
    from hrnet_plugins.weights.config import config_file  # noqa: PLC0415, mmengine is slow to import

    with tempfile.TemporaryDirectory(prefix='hrnet-plugins-') as folder:
        try:
            config = config_file(name, CATALOG[name], Path(folder))
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        asked = options[:1] in (('-h',), ('--help',))
        full = options if asked else ('--checkpoint', f'{SCHEME}{name}', *_with_progress(options))
        _mim('test', config, full, given=options)


@main.command(
    epilog=example(
        'hrnet-plugins predict work_dirs/cells pictures/ --out shown/',
        'hrnet-plugins predict ocr_w48_cityscapes street.jpg --out shown/ --fast',
    )
)
@click.argument('where')
@click.argument('pictures', nargs=-1, required=True)
@click.option('--checkpoint', help='The checkpoint of a config; of a work folder another than its best.')
@click.option('--out', required=True, help='The folder for the drawings, predictions.json, and label maps.')
@click.option('--score', type=float, default=0.3, show_default=True, help='Least score of the objects that are drawn.')
@click.option('--no-drawings', is_flag=True, help='Write predictions.json and label maps alone.')
@click.option('--batch', type=int, help='Pictures a step: 1 on a CPU and 8 on a GPU when not given.')
@click.option('--device', help='Such as cpu or cuda:1; a GPU, if there is one, when not given.')
@click.option('--fast', is_flag=True, help='Accelerate the model.')
@click.option('--dtype', help='Precision of the accelerated model: fp32, bf16, fp16.')
@click.option('--trust', is_flag=True, expose_value=False, callback=_trust, help=_TRUST)
def predict(where: str, pictures: tuple[str, ...], no_drawings: bool, **options: Any) -> None:
    """Predict what is in PICTURES with WHERE, and draw it.

    WHERE is a work folder, whose best checkpoint is taken; a checkpoint in one; the name of a published weight; or a
    config, followed by its checkpoint. PICTURES are files, folders, patterns and videos. Of a detector predictions.json
    holds COCO results, of a classifier the class of each picture; a segmentor's label maps are in masks/. Pictures that
    cannot be read are named and left out, and the status is then 1.
    """
    from hrnet_plugins.prediction.command import run  # noqa: PLC0415, it imports what reads pictures

    with _one_line_errors():
        sys.exit(run(where, pictures, drawings=not no_drawings, **options))


@main.command(
    epilog=example('hrnet-plugins report work_dirs/cells', 'hrnet-plugins report work_dirs/cells --split test --fast')
)
@click.argument('work_dir')
@click.option('--out', help='The page; report.html in WORK_DIR when not given.')
@click.option('--checkpoint', help='Another checkpoint than the best.')
@click.option('--split', help='The set that is predicted: test, val or train; the first there is when not given.')
@click.option(
    '--pictures', type=int, default=6, show_default=True, help='How many best and worst pictures; 0 for none.'
)
@click.option('--limit', type=int, help='Most pictures of the set that are predicted.')
@click.option('--device', help='Such as cpu or cuda:1; a GPU, if there is one, when not given.')
@click.option('--fast', is_flag=True, help='Accelerate the model.')
@click.option('--dtype', help='Precision of the accelerated model: fp32, bf16, fp16.')
@click.option('--trust', is_flag=True, expose_value=False, callback=_trust, help=_TRUST)
def report(work_dir: str, **options: Any) -> None:
    """Write one HTML page about the training in WORK_DIR.

    It has the curves, the scores by class, what is taken for what, the best and the worst pictures, the config, and
    commands to go on with. The page holds all it shows.
    """
    from hrnet_plugins.reporting.command import run  # noqa: PLC0415, it imports what draws

    with _one_line_errors():
        run(work_dir, **options)


@main.command(
    epilog=example(
        'hrnet-plugins weights ocr --dataset cityscapes --width w48',
        'hrnet-plugins weights ocr_w48_cityscapes',
        'hrnet-plugins weights ocr_w48_cityscapes --manual',
    )
)
@click.argument('words', nargs=-1)
@click.option('--task', default='', help='A part of the task: classification, detection, instance, semantic.')
@click.option('--dataset', default='', help="A part of the dataset's name, such as cityscapes.")
@click.option('--width', default='', help='The backbone, such as w48 or w18_small_v1.')
@click.option('--probe', is_flag=True, help='Ask every address of these weights for its header, and say which answer.')
@click.option('--manual', 'by_hand', is_flag=True, help='Say how to bring the file of one weight here by hand.')
def weights(words: tuple[str, ...], task: str, dataset: str, width: str, probe: bool, by_hand: bool) -> None:
    """List the named weights, hrnet://NAME in a config, that have all WORDS in their names, tasks or origins.

    One whole name prints its row in full, with its addresses and the command that tests it.
    """
    one = words[0].removeprefix(SCHEME) if len(words) == 1 and not (task or dataset or width) else ''
    if by_hand:
        from hrnet_plugins.weights.hub import FOLDER_VARIABLE  # noqa: PLC0415, it imports torch

        if not one:
            raise click.UsageError('--manual is for one weight: give its name')
        try:
            click.echo(manual(one, named(one, CATALOG), folder_variable=FOLDER_VARIABLE))
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        return
    found = {one: CATALOG[one]} if one in CATALOG else find(words, task=task, dataset=dataset, width=width)
    if not found:
        raise click.ClickException('no weight fits; `hrnet-plugins weights` lists all of them')
    if probe:
        _probe(found)
    elif one in found:
        click.echo(row_text(one, found[one]))
        others = len(find(words)) - 1
        if others:
            click.echo(
                f'\n{others} other weights have {one} in their rows: hrnet-plugins weights --width {found[one].arch}'
            )
    else:
        table = _table('name', 'loads into', 'published score', 'licence', 'source')
        for name, weight in found.items():
            table.add_row(name, weight.loads_into, weight.score, weight.licence, weight.origin)
        _show(table)


def _probe(found: Mapping[str, Weight]) -> None:
    """Print what each address of these weights answers; the status is 1 if some weight has none that is alive."""
    from hrnet_plugins.weights.probe import probe  # noqa: PLC0415, the network is seldom asked

    answers = probe(source for weight in found.values() for source in weight.sources)
    table = _table('name', 'address', 'answer', 'bytes')
    for name, weight in found.items():
        for answer in (answers[source.url] for source in weight.sources):
            table.add_row(name, answer.url, answer.reason or 'alive', f'{answer.size:,}' if answer.size else '')
    _show(table)
    alive = sum(answer.alive for answer in answers.values())
    click.echo(f'{alive} of {len(answers)} addresses are alive')
    dead = [name for name, weight in found.items() if not any(answers[s.url].alive for s in weight.sources)]
    if dead:
        raise click.ClickException(f'no address of these weights is alive: {", ".join(dead)}')


@main.command(
    epilog=example(
        'hrnet-plugins convert hrnetv2_w18_imagenet_pretrained.pth w18.safetensors',
        'hrnet-plugins convert OFFICIAL.pth w18.pth --check faster-rcnn_hrnetv2p-w18-official_coco',
    )
)
@click.argument('src')
@click.argument('dst')
@click.option('--from', 'source', help='Format of SRC; recognised from its keys when not given.')
@click.option('--to', 'target', default='openmmlab', show_default=True, help='Format of DST.')
@click.option('--check', 'recipe', help="Also hold SRC to this recipe's model: width, classes, every key.")
@click.option('--trust', is_flag=True, expose_value=False, callback=_trust, help=_TRUST)
def convert(src: str, dst: str, source: str | None, target: str, recipe: str | None) -> None:
    """Convert the checkpoint SRC and write it to DST, a .pth or .safetensors file.

    An unknown or missing key is an error, and then nothing is written. The names of the classes go along where they
    are known: from SRC, from its name if it is a published one, or from the recipe of --check.
    """
    from hrnet_plugins.weights.checkpoint_io import load_with_meta  # noqa: PLC0415, it imports torch

    try:
        loaded, meta = load_with_meta(src)
        meta = meta or meta_of_file(Path(src))
        if recipe is not None:  # whose names are OpenMMLab's
            library.check_against(library.convert(loaded, source)[0], model_of(recipe_path(recipe)))
            meta = meta or meta_of_recipe(recipe_path(recipe))
        state, report = library.convert(loaded, source, target)
        library.save(state, dst, meta=meta if target == 'openmmlab' else None)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(report)
    click.echo(f'{len(state)} entries written to {dst}')


@main.command(epilog=example('hrnet-plugins export hrnet-w18_100e_in1k hrnet://cls_w18 --format onnx --out w18.onnx'))
@click.argument('recipe', shell_complete=complete_recipe)
@click.argument('checkpoint', shell_complete=complete_checkpoint)
@click.option('--format', 'fmt', default='onnx', show_default=True, help='Kind of file: onnx, openvino, pt2.')
@click.option('--out', help='The file to write; RECIPE with the suffix of the format, here, when not given.')
@click.option('--trust', is_flag=True, expose_value=False, callback=_trust, help=_TRUST)
def export(recipe: str, checkpoint: str, fmt: str, out: str | None) -> None:
    """Write the model of RECIPE with the weights of CHECKPOINT as one file for another runtime.

    The file takes normalised images in any batch and size. It is checked in its runtime against PyTorch at three
    sizes, and kept if it agrees. CHECKPOINT is a file, or a name of `hrnet-plugins weights` as hrnet://NAME.
    Of a detector the file holds backbone and neck.
    """
    from hrnet_plugins import inference  # noqa: PLC0415, it imports torch

    try:
        click.echo(inference.export(recipe, checkpoint, format=fmt, out=out))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


@main.command(epilog=example('hrnet-plugins doctor'))
def doctor() -> None:
    """Say what is installed, what this machine can do, and whether it computes right.

    Versions, the stack, operators, features of CPU and GPU, the cache of weights, and a small forward whose result is
    stored. The status is 1 if something is wrong. A report of a problem should carry what this prints.
    """
    from hrnet_plugins.doctor import examine  # noqa: PLC0415, as the other commands do

    wrong = 0
    for title, findings in examine():
        click.echo(f'{title}:')
        for finding in findings:
            wrong += finding.wrong
            click.echo(f'{"! " if finding.wrong else "  "}{finding.title:<24} {finding.text}')
    if wrong:
        raise click.ClickException(f'{wrong} {"thing is" if wrong == 1 else "things are"} wrong, marked with !')
    click.echo('Nothing is wrong.')


@main.group('mmcv-ops', cls=GroupedCommands, epilog=example('hrnet-plugins mmcv-ops install'))
def mmcv_ops() -> None:
    """Give an mmcv that was installed without a compiler its operators, on torchvision's.

    What runs in this environment then finds them: mim, the frameworks' own tools, any script. Compiled operators are
    never replaced.
    """


@mmcv_ops.command('install', epilog=example('hrnet-plugins mmcv-ops install'))
def mmcv_ops_install() -> None:
    """Put the operators into the installed mmcv; a second time changes nothing."""
    from hrnet_plugins.mmcv_ops.install import find, install  # noqa: PLC0415, as the other commands do

    with _one_line_errors():
        click.echo(install(find()))


@mmcv_ops.command('remove', epilog=example('hrnet-plugins mmcv-ops remove'))
def mmcv_ops_remove() -> None:
    """Take our operators out of the installed mmcv again."""
    from hrnet_plugins.mmcv_ops.install import find, remove  # noqa: PLC0415

    with _one_line_errors():
        click.echo(remove(find()))


@mmcv_ops.command('status', epilog=example('hrnet-plugins mmcv-ops status'))
def mmcv_ops_status() -> None:
    """Say which mmcv is installed, and whose operators it has."""
    from hrnet_plugins.mmcv_ops.install import find, status  # noqa: PLC0415

    with _one_line_errors():
        for about, text in status(find()).items():
            click.echo(f'{about}: {text}')


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from None


def _with_progress(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options with the hook that shows progress, unless they refuse it."""
    if '--no-progress' in options:
        return tuple(option for option in options if option != '--no-progress')
    # Among the default hooks, which are merged by name: a list of custom hooks would replace the config's own.
    # First, so that the user's own options are the last word.
    return ('--cfg-options', 'default_hooks.progress.type=hrnet_plugins.ProgressHook', *options)


def _without_gpus(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options of a distributed training, with the runner that CPUs need where there is no GPU."""
    import torch  # noqa: PLC0415, it is slow to import

    if torch.cuda.is_available():
        return options
    # First, so that a runner_type of the user's own is the last word.
    return ('--cfg-options', 'runner_type=hrnet_plugins.GlooRunner', *options)


def _table(*columns: str) -> Table:
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow='fold')
    return table


def _show(table: Table) -> None:
    # In a terminal, as wide as that; in a pipe as wide as it takes, for grep to find whole lines.
    console = Console()
    (console if console.is_terminal else Console(width=500)).print(table)


def _path(recipe: str) -> Path:
    try:
        return recipe_path(recipe)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _mim(command: str, config: Path, options: tuple[str, ...], *, given: tuple[str, ...] = ()) -> NoReturn:
    """Run mim with options, of which the person gave some: these are held to the config."""
    if '--trust' in options:
        os.environ[TRUST_VARIABLE] = '1'
        options = tuple(option for option in options if option != '--trust')
    try:
        read = read_config(config, imports=False)
        check_options(read.to_dict(), given)
        framework = framework_of(config)
        package = distribution_of(framework)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    options = (*_safe_hook(read, options), *options)
    sys.exit(start(command, package, config, options, framework=framework, trust=is_trusted()))


def _safe_hook(config: Any, options: tuple[str, ...]) -> tuple[str, ...]:
    """The option with which our checkpoint hook takes the place of mmengine's, in a config that has mmengine's."""
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    named = any(option.startswith('default_hooks.checkpoint.type=') for option in config_options(options))
    if hook.get('type') not in _MMENGINE_HOOK or named:
        return ()
    return ('--cfg-options', 'default_hooks.checkpoint.type=hrnet_plugins.CheckpointHook')


if __name__ == '__main__':
    main()
