"""A picture of what a finished model predicts, beside the labels."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from hrnet_plugins.hub import create_model
from hrnet_plugins.prediction.drawing import draw
from hrnet_plugins.prediction.predictor import Predictor
from hrnet_plugins.reporting.evaluate import dataset_for, samples

SCORE = 0.5
_COLUMNS, _ROWS = 3, 4
_SCALE = 2
"""Scenes are drawn larger, for the names in them."""
_GAP = 6


def draw_predictions(recipe: Path, checkpoint: str, out: Path) -> None:
    """Save a grid of scenes of the test set: the labels of each, and beside it the predictions scored 0.5 or more.

    Args:
        recipe: The recipe.
        checkpoint: What it trained.
        out: The PNG to write.
    """
    model = create_model(recipe, checkpoint=checkpoint)
    dataset = dataset_for(model.cfg, 'test')
    read = Predictor(model).read
    chosen = range(0, len(dataset), max(1, len(dataset) // (_COLUMNS * _ROWS)))[: _COLUMNS * _ROWS]
    pairs = []
    for sample in samples(model, dataset, chosen):
        pixels = read(dict(img_path=sample.img_path, img_id=0))['img']
        pairs.append([draw(pixels, sample, model.dataset_meta, score=SCORE, truth=truth, scale=_SCALE)
                      for truth in (True, False)])  # fmt: skip
    width, height = (max(picture.size[side] for pair in pairs for picture in pair) + _GAP for side in (0, 1))
    grid = Image.new('RGB', (2 * _COLUMNS * width, _ROWS * height), 'white')
    for number, pair in enumerate(pairs):
        row, column = divmod(number, _COLUMNS)
        for side, picture in enumerate(pair):
            grid.paste(picture, ((2 * column + side) * width, row * height))
    grid.save(out)
