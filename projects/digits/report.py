"""Pictures of a finished model: predictions beside ground truth, and the curves of its training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use('Agg')
import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from pycocotools import mask as mask_utils

SCORE = 0.5
SCORES = {
    'coco/bbox_mAP': ('box mAP', 100),
    'coco/bbox_mAP_50': ('box AP50', 100),
    'coco/segm_mAP': ('mask mAP', 100),
    'coco/segm_mAP_50': ('mask AP50', 100),
    'mIoU': ('mean IoU', 1),
    'accuracy/top1': ('top-1 accuracy', 1),
}
"""Scores by their names in mmengine's logs: how the curves call them, and what makes them per cent."""
# tab10 with lime for its grey, which is lost on these backgrounds.
COLOURS = [(0.5, 1.0, 0.0) if i == 7 else colour for i, colour in enumerate(plt.get_cmap('tab10').colors)]


def draw_predictions(predictions: list[dict[str, Any]], annotations: Path, images: Path, out: Path) -> None:
    """Save a grid of scenes: the ground truth of each, and beside it the predictions scored 0.5 or more.

    Predicted masks are drawn where there are some.

    Args:
        predictions: What mmdet's test tool dumps with ``--out``.
        annotations: The COCO file of the scenes.
        images: The folder of the scenes.
        out: The PNG to write.
    """
    coco = json.loads(annotations.read_text())
    truth: dict[int, list[dict[str, Any]]] = {}
    for annotation in coco['annotations']:
        truth.setdefault(annotation['image_id'], []).append(annotation)
    names = {image['id']: image['file_name'] for image in coco['images']}
    shown = predictions[:: max(1, len(predictions) // 12)][:12]
    figure, axes = plt.subplots(4, 6, figsize=(15, 10.6), layout='constrained')
    for i, prediction in enumerate(shown):
        image = cv2.imread(str(images / names[prediction['img_id']]))[..., ::-1]
        row, column = divmod(i, 3)
        left, right = axes[row, 2 * column], axes[row, 2 * column + 1]
        for ax, title in ((left, 'ground truth'), (right, f'predicted, score >= {SCORE}')):
            ax.imshow(image)
            ax.set_title(title, fontsize=9)
            ax.axis('off')
        for annotation in truth.get(prediction['img_id'], []):
            x, y, width, height = annotation['bbox']
            _box(left, (x, y, x + width, y + height), annotation['category_id'] - 1, '')
        found = prediction['pred_instances']
        for number, (box, label, score) in enumerate(zip(found['bboxes'], found['labels'], found['scores'])):
            if score >= SCORE:
                _box(right, box.tolist(), int(label), f' {score:.2f}')
                if 'masks' in found:
                    _mask(right, mask_utils.decode(found['masks'][number]), int(label))
    figure.savefig(out, dpi=100)
    plt.close(figure)


def _box(ax: Axes, box: Any, label: int, note: str) -> None:
    x1, y1, x2, y2 = box
    colour = COLOURS[label]
    ax.add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.5))
    ax.text(
        x1, y1 - 1, f'{label}{note}', fontsize=8, color='white', va='bottom', bbox=dict(facecolor=colour, lw=0, pad=1)
    )


def _mask(ax: Axes, mask: np.ndarray, label: int) -> None:
    colour = np.zeros((*mask.shape, 4))
    colour[mask > 0] = (*COLOURS[label], 0.6)
    ax.imshow(colour)


def draw_labels(predictions: Path, labels: Path, images: Path, out: Path) -> None:
    """Save a grid of scenes: the labels of each over it, and beside it the predictions.

    Args:
        predictions: A folder of label files, as mmseg's test tool writes with ``--out``.
        labels: The folder of the true ones, under the same names.
        images: The folder of the scenes, under the same names.
        out: The PNG to write.
    """
    names = sorted(path.name for path in predictions.glob('*.png'))
    figure, axes = plt.subplots(4, 6, figsize=(15, 10.6), layout='constrained')
    for i, name in enumerate(names[:: max(1, len(names) // 12)][:12]):
        scene = cv2.imread(str(images / name))[..., ::-1]
        row, column = divmod(i, 3)
        for ax, title, folder in zip(
            axes[row, 2 * column : 2 * column + 2], ('labels', 'predicted'), (labels, predictions)
        ):
            ax.imshow(_overlay(scene, cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)))
            ax.set_title(title, fontsize=9)
            ax.axis('off')
    handles = [plt.Line2D([], [], color=colour, lw=6, label=str(digit)) for digit, colour in enumerate(COLOURS)]
    figure.legend(handles=handles, loc='outside lower center', ncols=10, frameon=False)
    figure.savefig(out, dpi=80)
    plt.close(figure)


def _overlay(scene: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A scene (H, W, 3), darkened, with the colour of its digit on every pixel that has one."""
    palette = np.vstack([np.zeros((1, 3)), np.array(COLOURS)]) * 255
    return np.where(labels[..., None] > 0, palette[labels], scene * 0.6).astype(np.uint8)


def draw_curves(scalars: Path, out: Path) -> None:
    """Save the training losses by iteration and the validation scores, in per cent, by epoch or iteration.

    Args:
        scalars: The ``vis_data/scalars.json`` that mmengine writes, a JSON object a line.
        out: The PNG to write.
    """
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    train = [line for line in lines if 'loss' in line]
    val = [line for line in lines if 'loss' not in line]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    for key in sorted({key for line in train for key in line if 'loss' in key}):
        points = [(line['step'], line[key]) for line in train if key in line]
        left.plot(*zip(*points), label=key, lw=2 if key == 'loss' else 1)
    left.set(xlabel='iteration', ylabel='loss', title='Training loss', ylim=(0, None))
    left.legend(fontsize=8, ncols=1 + len(left.lines) // 9)
    for key, (name, scale) in SCORES.items():
        points = [(line['step'], line[key] * scale) for line in val if key in line]
        if points:
            right.plot(*zip(*points), marker='o', label=name)
    by_epoch = bool(val) and val[-1]['step'] < train[-1]['step']
    right.set(xlabel='epoch' if by_epoch else 'iteration', ylabel='score, per cent', title='Validation', ylim=(0, 100))
    if by_epoch:
        right.set_xticks([line['step'] for line in val])
    right.legend()
    figure.savefig(out, dpi=100)
    plt.close(figure)
