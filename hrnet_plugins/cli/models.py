"""Commands that run a trained model, or hand it on."""

from __future__ import annotations

import sys
from typing import Any

import click

from hrnet_plugins.cli.shared import model_options, one_line_errors, trust_option
from hrnet_plugins.command_help import complete_checkpoint, complete_recipe, example


@click.command(
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
@model_options
def predict(where: str, pictures: tuple[str, ...], no_drawings: bool, **options: Any) -> None:
    """Predict what is in PICTURES with WHERE, and draw it.

    WHERE is a work folder, whose best checkpoint is taken; a checkpoint in one; the name of a published weight; or a
    config, followed by its checkpoint. PICTURES are files, folders, patterns and videos. Of a detector predictions.json
    holds COCO results, of a classifier the class of each picture; a segmentor's label maps are in masks/. Pictures that
    cannot be read are named and left out, and the status is then 1.
    """
    from hrnet_plugins.prediction.command import run  # noqa: PLC0415, it imports what reads pictures

    with one_line_errors():
        sys.exit(run(where, pictures, drawings=not no_drawings, **options))


@click.command(epilog=example('hrnet-plugins export hrnet-w18_100e_in1k hrnet://cls_w18 --format onnx --out w18.onnx'))
@click.argument('recipe', shell_complete=complete_recipe)
@click.argument('checkpoint', shell_complete=complete_checkpoint)
@click.option('--format', 'fmt', default='onnx', show_default=True, help='Kind of file: onnx, openvino, pt2.')
@click.option('--out', help='The file to write; RECIPE with the suffix of the format, here, when not given.')
@trust_option
def export(recipe: str, checkpoint: str, fmt: str, out: str | None) -> None:
    """Write the model of RECIPE with the weights of CHECKPOINT as one file for another runtime.

    The file takes normalised images in any batch and size. It is checked in its runtime against PyTorch at three
    sizes, and kept if it agrees. CHECKPOINT is a file, or a name of `hrnet-plugins weights` as hrnet://NAME.
    Of a detector the file holds backbone and neck.
    """
    from hrnet_plugins import inference  # noqa: PLC0415, it imports torch

    with one_line_errors(OSError):
        click.echo(inference.export(recipe, checkpoint, format=fmt, out=out))


COMMANDS = (predict, export)
