"""Drawings of predictions and labels: boxes, masks, label maps and classes over a picture."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCORE = 0.3
"""Least score of what is drawn, as the frameworks' inferencers have it."""
_MASK = 0.45
_LABELS = 0.55
"""How much of the colour covers a picture: of an object's mask, of a label map."""
_GOLDEN = 0.618034
"""Of a turn: hues that far apart stay apart, however many there are."""
_IGNORED = 255


def colours_of(meta: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """A colour (R, G, B) for each class: the palette of the data set, or clear ones of different hues."""
    classes, palette = meta.get('classes') or (), meta.get('palette')
    if isinstance(palette, (list, tuple)) and len(palette) == len(classes):
        return [tuple(int(v) for v in colour) for colour in palette]  # type: ignore[misc]
    return [_colour(number) for number in range(len(classes))]


def _colour(number: int) -> tuple[int, int, int]:
    hue = (0.02 + number * _GOLDEN) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95 if number % 2 == 0 else 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw(
    pixels: Any,
    sample: Any,
    meta: Mapping[str, Any],
    *,
    score: float = SCORE,
    truth: bool = False,
    scale: int = 1,
) -> Image.Image:
    """Draw what a data sample holds over its picture.

    Args:
        pixels: The picture (H, W, 3), BGR, uint8.
        sample: A ``DetDataSample``, ``SegDataSample`` or ``DataSample``.
        meta: ``classes`` and ``palette`` of the data set.
        score: Least score of the objects that are drawn.
        truth: Draw the labels in place of the predictions.
        scale: How many times as large the drawing is, for small pictures.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]))
    names = meta.get('classes') or ()
    kind = 'gt' if truth else 'pred'
    if f'{kind}_instances' in sample:
        return _objects(picture, sample.get(f'{kind}_instances'), names, colours_of(meta), score, scale)
    if f'{kind}_sem_seg' in sample:
        labels = np.asarray(sample.get(f'{kind}_sem_seg').data[0])
        return _label_map(picture, labels, names, colours_of(meta), scale)
    label = int(sample.get(f'{kind}_label')[0])
    found = None if truth else float(sample.pred_score[label])
    return _class(picture, name_of(names, label), found)


def name_of(names: Sequence[str], label: int) -> str:
    """The name of a class, or its number where it has none."""
    return str(names[label]) if label < len(names) else f'class {label}'


def _objects(
    picture: Image.Image,
    objects: Any,
    names: Sequence[str],
    colours: list[tuple[int, int, int]],
    score: float,
    scale: int,
) -> Image.Image:
    scores = objects.scores.numpy() if 'scores' in objects else None
    boxes = np.asarray(getattr(objects.bboxes, 'tensor', objects.bboxes))
    labels = objects.labels.numpy()
    shown = [i for i in range(len(labels)) if scores is None or scores[i] >= score]
    if scores is not None:
        shown.sort(key=lambda i: scores[i])  # the surest last, over the others
    colour = [colours[labels[i]] if labels[i] < len(colours) else _colour(int(labels[i])) for i in range(len(labels))]
    if 'masks' in objects:
        picture = _with_masks(picture, objects.masks, [(i, colour[i]) for i in shown])
    picture = _larger(picture, scale)
    boxes = boxes * scale
    canvas = ImageDraw.Draw(picture)
    width = max(1, round(min(picture.size) / 250))
    font = _font(_font_size(picture))
    for i in shown:
        canvas.rectangle([float(v) for v in boxes[i]], outline=colour[i], width=width)
    taken: list[tuple[float, float, float, float]] = []
    for i in reversed(shown):
        text = name_of(names, int(labels[i])) + ('' if scores is None else f' {scores[i]:.2f}')
        _tag(canvas, picture.size, boxes[i], text, colour[i], font, taken)
    return picture


def _with_masks(picture: Image.Image, masks: Any, shown: list[tuple[int, tuple[int, int, int]]]) -> Image.Image:
    pixels = np.asarray(picture).astype(np.float32)
    array = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)
    for i, colour in shown:
        inside = array[i].astype(bool)
        pixels[inside] = pixels[inside] * (1 - _MASK) + np.array(colour, np.float32) * _MASK
    return Image.fromarray(pixels.round().astype(np.uint8))


def _tag(
    canvas: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: Any,
    text: str,
    colour: tuple[int, int, int],
    font: Any,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Write a label above its box, inside of it, or below, where none is yet; and not at all on top of others."""
    left, top, right, bottom = canvas.textbbox((0, 0), text, font=font)
    wide, high = right - left + 4, bottom - top + 4
    x = min(max(0.0, float(box[0])), max(0.0, size[0] - wide))
    for y in (float(box[1]) - high, float(box[1]), float(box[3]) - high, float(box[3])):
        place = (x, y, x + wide, y + high)
        inside = y >= 0 and y + high <= size[1]
        if inside and not any(_overlap(place, other) for other in taken):
            taken.append(place)
            canvas.rectangle(place, fill=colour)
            canvas.text((x + 2 - left, y + 2 - top), text, font=font, fill=_readable(colour))
            return


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _label_map(
    picture: Image.Image, labels: np.ndarray, names: Sequence[str], colours: list[tuple[int, int, int]], scale: int
) -> Image.Image:
    pixels = np.asarray(picture).astype(np.float32)
    there = [int(v) for v in np.unique(labels) if v != _IGNORED]
    for value in there:
        inside = labels == value
        colour = colours[value] if value < len(colours) else _colour(value)
        pixels[inside] = pixels[inside] * (1 - _LABELS) + np.array(colour, np.float32) * _LABELS
    drawn = _larger(Image.fromarray(pixels.round().astype(np.uint8)), scale)
    counts = {value: int((labels == value).sum()) for value in there}
    rows = [(name_of(names, value), colours[value] if value < len(colours) else _colour(value))
            for value in sorted(there, key=lambda value: -counts[value])]  # fmt: skip
    return _with_legend(drawn, rows)


def _with_legend(picture: Image.Image, rows: list[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """A picture with the names of its colours below."""
    size = _font_size(picture)
    font = _font(size)
    line = size + 8
    probe = ImageDraw.Draw(picture)
    places, x, y = [], 6.0, 4.0
    for text, colour in rows:
        wide = size + 6 + probe.textlength(text, font=font) + 14
        if x + wide > picture.width and x > 6:
            x, y = 6.0, y + line
        places.append((x, y, text, colour))
        x += wide
    whole = Image.new('RGB', (picture.width, picture.height + round(y + line + 2)), 'white')
    whole.paste(picture)
    canvas = ImageDraw.Draw(whole)
    for left, above, text, colour in places:
        top = picture.height + above
        canvas.rectangle((left, top + 2, left + size, top + 2 + size), fill=colour)
        canvas.text((left + size + 6, top + 2 + size / 2), text, font=font, fill='black', anchor='lm')
    return whole


def _class(picture: Image.Image, name: str, score: float | None) -> Image.Image:
    """A picture, small ones made larger, with its class in a line below."""
    factor = max(1, 160 // min(picture.size))
    picture = _larger(picture, factor)
    size = _font_size(picture)
    font = _font(size)
    text = name if score is None else f'{name} {score:.2f}'
    wide = ImageDraw.Draw(picture).textlength(text, font=font)
    whole = Image.new('RGB', (max(picture.width, round(wide) + 12), picture.height + size + 12), 'white')
    whole.paste(picture)
    ImageDraw.Draw(whole).text((6, picture.height + size / 2 + 6), text, font=font, fill='black', anchor='lm')
    return whole


def _larger(picture: Image.Image, factor: int) -> Image.Image:
    if factor == 1:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.BILINEAR)


def _font_size(picture: Image.Image) -> int:
    return max(11, round(min(picture.size) / 38))


def _readable(colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    return 'black' if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else 'white'


@cache
def _font(size: int) -> Any:
    try:
        import matplotlib  # noqa: PLC0415, mmengine brings it; its font has more letters than Pillow's

        return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'), size)
    except (ImportError, OSError):
        return ImageFont.load_default()
