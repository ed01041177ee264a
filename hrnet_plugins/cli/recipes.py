"""Commands about recipes, which mim and the frameworks' own tools run."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NoReturn

import click

from hrnet_plugins.cli.mim import run_mim, with_progress, without_gpus
from hrnet_plugins.cli.shared import find_recipe, one_line_errors, show_table
from hrnet_plugins.command_help import complete_checkpoint, complete_recipe, example
from hrnet_plugins.metafiles import published
from hrnet_plugins.weights.catalog import CATALOG, SCHEME

_PASS_ON = dict(ignore_unknown_options=True, allow_interspersed_args=False, help_option_names=['--help'])
_CHECKPOINTS = ('.pth', '.pth.tar', '.pdparams', '.safetensors')
_LAUNCHER = re.compile('--launcher(=|$)|-l')


@click.command('list', epilog=example('hrnet-plugins list fcos w18'))
@click.argument('words', nargs=-1)
def list_recipes(words: tuple[str, ...]) -> None:
    """List the recipes whose names contain all WORDS, with their published scores."""
    rows = (
        (name, row.folder, ', '.join(f'{metric} {value}' for metric, value in row.scores.items()))
        for name, row in sorted(published().items())
        if all(word in name for word in words)
    )
    show_table(('recipe', 'folder', 'published'), rows)


@click.command(epilog=example('hrnet-plugins path fcos_hrnetv2p-w18_1x_coco'))
@click.argument('recipe', shell_complete=complete_recipe)
def path(recipe: str) -> None:
    """Print the path of RECIPE, for use in a config's _base_ or by other tools."""
    click.echo(str(find_recipe(recipe)))


@click.command(
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
    full = with_progress(options)
    run_mim(
        'train', find_recipe(recipe), without_gpus(full) if any(map(_LAUNCHER.match, full)) else full, given=options
    )


@click.command(
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
    run_mim(
        'test',
        find_recipe(recipe),
        options if checkpoint is None else ('--checkpoint', checkpoint, *with_progress(options)),
        given=options,
    )


def _test_weight(name: str, options: tuple[str, ...]) -> NoReturn:
    """Run the framework's test tool on a named weight; only asked for help, it asks for no weight."""
    from hrnet_plugins.weights.config import config_file  # noqa: PLC0415, mmengine is slow to import

    with tempfile.TemporaryDirectory(prefix='hrnet-plugins-') as folder:
        with one_line_errors():
            config = config_file(name, CATALOG[name], Path(folder))
        asked = options[:1] in (('-h',), ('--help',))
        full = options if asked else ('--checkpoint', f'{SCHEME}{name}', *with_progress(options))
        run_mim('test', config, full, given=options)


COMMANDS = (list_recipes, path, train, test)
