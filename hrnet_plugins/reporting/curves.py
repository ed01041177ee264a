"""Curves of a training, as a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from hrnet_plugins.reporting.training_log import Log

COLOURS = ('#1f5fa8', '#d9622b', '#2c8a57', '#8a4fb0', '#c23b5a', '#5b6b7b', '#a98514', '#168a9c')
NAMES = {
    'coco/bbox_mAP': 'box mAP',
    'coco/bbox_mAP_50': 'box AP50',
    'coco/segm_mAP': 'mask mAP',
    'coco/segm_mAP_50': 'mask AP50',
    'pascal_voc/mAP': 'mAP (AP50, VOC)',
    'mIoU': 'mean IoU',
    'mAcc': 'mean accuracy',
    'aAcc': 'accuracy of all pixels',
    'accuracy/top1': 'top-1 accuracy',
    'accuracy/top5': 'top-5 accuracy',
}
"""What scores are called in a picture, by their names in mmengine's log; others have details that a table shows."""
_MOST_LOSSES = 8


def is_share(score: str) -> bool:
    """Whether a score goes from 0 to 1, not to 100."""
    return score.startswith(('coco/', 'pascal_voc/'))


def shown_scores(log: Log) -> list[str]:
    """The scores that are worth a curve."""
    found = log.scores()
    return [name for name in NAMES if name in found] or found[:4]


def draw_curves(log: Log, path: Path | None = None) -> str:
    """Draw losses, learning rate and scores.

    Args:
        log: The log of the training.
        path: Where the picture is saved, as its suffix says: ``.svg`` or ``.png``.

    Returns:
        The picture as the text of an SVG.
    """
    import matplotlib  # noqa: PLC0415, mmengine brings it
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = {
        'font.family': 'sans-serif',
        'font.size': 10,
        'svg.fonttype': 'none',
        'svg.hashsalt': 'curves',
        'axes.spines.top': False,
        'axes.spines.right': False,
        'axes.edgecolor': '#9aa4ae',
        'axes.titlesize': 11,
        'axes.titleweight': 'bold',
        'axes.titlelocation': 'left',
        'axes.grid': True,
        'grid.color': '#e3e7eb',
        'legend.frameon': False,
        'legend.fontsize': 9,
        'xtick.color': '#4a5560',
        'ytick.color': '#4a5560',
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(12, 3.9), layout='constrained')
        left, middle, right = figure.subplots(1, 3, width_ratios=(5, 3, 4))
        _losses(left, log)
        _rate(middle, log)
        _scores(right, log)
        text = io.StringIO()
        figure.savefig(text, format='svg', metadata={'Date': None})
        if path is not None and path.suffix == '.svg':
            path.write_text(text.getvalue(), encoding='utf-8')
        elif path is not None:
            figure.savefig(path, dpi=110)
    return text.getvalue()


def _losses(axes: Any, log: Log) -> None:
    names = log.losses()
    if len(names) > _MOST_LOSSES + 1:  # the largest parts
        last = log.train[-1]
        largest = sorted(names[1:], key=lambda name: -float(last.get(name, 0)))[:_MOST_LOSSES]
        names = [names[0], *(name for name in names if name in largest)]
    for number, name in enumerate(names):
        points = [(row['step'], row[name]) for row in log.train if name in row]
        main = name == 'loss'
        colour = '#20262c' if main else COLOURS[(number - 1) % len(COLOURS)]
        axes.plot(*zip(*points), label=name, color=colour, lw=1.8 if main else 1.0, zorder=3 if main else 2)
    axes.set(xlabel='step', title='Training loss')
    axes.set_ylim(0, axes.get_ylim()[1])  # its own top, which leaves room
    if names:
        axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.16), ncols=4)  # below: losses are everywhere


def _rate(axes: Any, log: Log) -> None:
    points = [(row['step'], row['lr']) for row in log.train if 'lr' in row]
    if points:
        axes.plot(*zip(*points), color=COLOURS[0])
    axes.set(xlabel='step', title='Learning rate')
    axes.set_ylim(0, axes.get_ylim()[1])
    axes.ticklabel_format(axis='y', style='sci', scilimits=(-2, 2))


def _scores(axes: Any, log: Log) -> None:
    for number, name in enumerate(shown_scores(log)):
        factor = 100 if is_share(name) else 1
        points = [(row['step'], row[name] * factor) for row in log.val if name in row]
        label = NAMES.get(name, name)
        axes.plot(*zip(*points), marker='o', ms=4, label=label, color=COLOURS[number % len(COLOURS)])
    axes.set(xlabel='epoch' if log.by_epoch else 'step', title='Validation, per cent', ylim=(0, 100))
    if log.by_epoch:
        axes.xaxis.get_major_locator().set_params(integer=True)
    if log.val:
        axes.legend(loc='lower right')
