"""Commands about checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from hrnet_plugins import weights as library
from hrnet_plugins.cli.shared import one_line_errors, show_table, trust_option
from hrnet_plugins.command_help import example
from hrnet_plugins.recipes import meta_of_recipe, model_of, recipe_path
from hrnet_plugins.weights.catalog import CATALOG, SCHEME, Weight, find, named
from hrnet_plugins.weights.dataset_meta import meta_of_file
from hrnet_plugins.weights.describe import manual, row_text


@click.command(
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
        with one_line_errors():
            click.echo(manual(one, named(one, CATALOG), folder_variable=FOLDER_VARIABLE))
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
        show_table(
            ('name', 'loads into', 'published score', 'licence', 'source'),
            ((name, row.loads_into, row.score, row.licence, row.origin) for name, row in found.items()),
        )


def _probe(found: Mapping[str, Weight]) -> None:
    """Print what each address of these weights answers; the status is 1 if some weight has none that is alive."""
    from hrnet_plugins.weights.probe import probe  # noqa: PLC0415, the network is seldom asked

    answers = probe(source for weight in found.values() for source in weight.sources)
    asked = ((name, answers[source.url]) for name, weight in found.items() for source in weight.sources)
    rows = ((name, a.url, a.reason or 'alive', f'{a.size:,}' if a.size else '') for name, a in asked)
    show_table(('name', 'address', 'answer', 'bytes'), rows)
    alive = sum(answer.alive for answer in answers.values())
    click.echo(f'{alive} of {len(answers)} addresses are alive')
    dead = [name for name, weight in found.items() if not any(answers[s.url].alive for s in weight.sources)]
    if dead:
        raise click.ClickException(f'no address of these weights is alive: {", ".join(dead)}')


@click.command(
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
@trust_option
def convert(src: str, dst: str, source: str | None, target: str, recipe: str | None) -> None:
    """Convert the checkpoint SRC and write it to DST, a .pth or .safetensors file.

    An unknown or missing key is an error, and then nothing is written. The names of the classes go along where they
    are known: from SRC, from its name if it is a published one, or from the recipe of --check.
    """
    from hrnet_plugins.weights.checkpoint_io import load_with_meta  # noqa: PLC0415, it imports torch

    with one_line_errors(OSError):
        loaded, meta = load_with_meta(src)
        meta = meta or meta_of_file(Path(src))
        if recipe is not None:  # whose names are OpenMMLab's
            library.check_against(library.convert(loaded, source)[0], model_of(recipe_path(recipe)))
            meta = meta or meta_of_recipe(recipe_path(recipe))
        state, report = library.convert(loaded, source, target)
        library.save(state, dst, meta=meta if target == 'openmmlab' else None)
    click.echo(report)
    click.echo(f'{len(state)} entries written to {dst}')


COMMANDS = (weights, convert)
