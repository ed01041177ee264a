"""Commands about a user's own data."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from hrnet_plugins.cli.shared import model_options, one_line_errors
from hrnet_plugins.command_help import example


@click.command(
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

    with one_line_errors():
        options = library.Options(
            epochs=epochs, batch=batch, size=size, seed=seed, val_share=val_share, flip=not no_flip
        )
        command = shlex.join(['hrnet-plugins', *sys.argv[1:]])
        library.new(config, format=fmt, ignore=list(ignore) or None, options=options, command=command, **others)


@click.command(
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
@model_options
def report(work_dir: str, **options: Any) -> None:
    """Write one HTML page about the training in WORK_DIR.

    It has the curves, the scores by class, what is taken for what, the best and the worst pictures, the config, and
    commands to go on with. The page holds all it shows.
    """
    from hrnet_plugins.reporting.command import run  # noqa: PLC0415, it imports what draws

    with one_line_errors():
        run(work_dir, **options)


COMMANDS = (new, report)
