"""How long, how large and how fast to train: what the data, the recipe and the machine decide."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log
from statistics import median

from hrnet_plugins.data.checks import class_counts, sized
from hrnet_plugins.data.content import Box, Content, DataError
from hrnet_plugins.data.machine import Machine
from hrnet_plugins.data.recipe import Recipe

_CPU_SIDE = 640
"""Longest side of a picture in pixels, in training without a GPU."""
_CPU_LEAST_SIDE = 320
_CPU_OBJECT = 24
"""Without a GPU pictures are made smaller, down to the least side, while the median object of each class keeps this
many pixels: time goes with the area, and two cores take seconds for four pictures of 640x480."""
_CPU_BATCH = {'detection': 4, 'segmentation': 4, 'classification': 32}
_CPU_IMAGES = {'detection': 2400, 'segmentation': 3600, 'classification': 8000}
_GPU_IMAGES = {'detection': 20_000, 'segmentation': 20_000, 'classification': 60_000}
"""Pictures that a training sees, if the data are few: what is enough to adapt pretrained weights."""
_SCRATCH = 2
"""How many times as many on a GPU from scratch; without one, there is no time for that."""
_GB_PER_MEGAPIXEL = {'w18': 3.1, 'w30': 4.0, 'w32': 4.4, 'w40': 5.1, 'w44': 5.5, 'w48': 6.0, 'w64': 8.0}
"""Memory of one picture in training: mmdetection's tables have 6.6, 9.0 and 10.4 GB for two of 1333x800 with Faster
R-CNN and W18, W32 and W40; the others are in proportion to their channels."""
_MEMORY_SHARE = 0.7
_LR_SCRATCH = {'detection': 1e-3, 'segmentation': 3e-3, 'classification': 1e-3}
"""Of AdamW; those that the digits recipes were trained with from scratch."""
_SCALES = (5, 20)
_CPU_SCALES = (8, 13)
"""Tenths: the official range takes longer to learn, and three quarters of a crop are padding at half the size."""
SMALL_OBJECT = 48
"""Pixels, as trained, of the objects of a class, below which anchors start at 16 pixels and not at 32."""


@dataclass(frozen=True)
class Options:
    """What a user may set; ``None`` leaves it to the plan.

    Args:
        epochs: Epochs to train.
        batch: Pictures a step.
        size: Longest side of a picture in training, in pixels.
        seed: Of the split and of the training.
        val_share: Share of the training pictures that are set apart where there is no validation set.
        flip: Whether mirrored pictures are as good as others.
    """

    epochs: int | None = None
    batch: int | None = None
    size: int | None = None
    seed: int = 0
    val_share: float = 0.2
    flip: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (('--epochs', self.epochs, 1), ('--batch', self.batch, 1), ('--size', self.size, 32)):
            if value is not None and value < least:
                raise DataError(f'`{name}` ({value}) must be {least} at least')
        if not 0 < self.val_share < 1:
            raise DataError(f'`--val-share` ({self.val_share}) must be between 0 and 1')


@dataclass(frozen=True)
class Plan:
    """The numbers of a training.

    Args:
        size: Width and height of the middle picture as trained, in pixels.
        shrink: By how much it was made smaller for that; 1 for not at all.
        batch: Pictures a step.
        steps: Steps an epoch.
        epochs: Epochs.
        warmup: Steps until the learning rate is reached.
        val_interval: Epochs between validations.
        patience: Validations without a better score, after which training stops.
        lr: Learning rate.
        from_scratch: Whether no weights are there to start from.
        small: Whether heads are made small, for a machine without a GPU.
        channels_last: Whether HRNet trains in that layout, as it is faster without a GPU.
        amp: Type of mixed precision, or empty.
        small_objects: Whether the smaller objects need smaller anchors.
        scales: The least and the greatest size of pictures in segmentation, in tenths of ``size``.
        class_weight: Factors of the classes in the loss of segmentation; none elsewhere.
    """

    size: tuple[int, int]
    shrink: float
    batch: int
    steps: int
    epochs: int
    warmup: int
    val_interval: int
    patience: int
    lr: float
    from_scratch: bool
    small: bool
    channels_last: bool
    amp: str
    small_objects: bool
    scales: tuple[int, int]
    class_weight: tuple[float, ...]


def make(content: Content, recipe: Recipe, machine: Machine, options: Options, *, from_scratch: bool) -> Plan:
    """The plan for these data, this recipe and this machine."""
    pictures = content.splits['train']
    size, shrink = _size(content, recipe, machine, options)
    batch = min(options.batch or _batch(content, recipe, machine, size), len(pictures))
    steps = ceil(len(pictures) / batch)
    epochs = options.epochs or _epochs(content, machine, from_scratch=from_scratch)
    val_interval = max(1, round(epochs / 12))
    base = recipe.cfg.get('auto_scale_lr', {}).get('base_batch_size', 16)
    lr = recipe.cfg['optim_wrapper']['optimizer']['lr'] * batch / base
    return Plan(
        size=size,
        shrink=shrink,
        batch=batch,
        steps=steps,
        epochs=epochs,
        warmup=max(1, min(500, epochs * steps // 10)),
        val_interval=val_interval,
        # From scratch the first scores are near zero for a while.
        patience=8 if from_scratch else 5,
        lr=_LR_SCRATCH[content.task] if from_scratch else float(f'{lr:.3g}'),
        from_scratch=from_scratch,
        small=not machine.gpu,
        channels_last=bool(recipe.arch) and not machine.gpu,
        amp=_precision(content, machine),
        small_objects=_has_small_objects(content, shrink),
        scales=_SCALES if machine.gpu else _CPU_SCALES,
        class_weight=_class_weight(content),
    )


def _size(content: Content, recipe: Recipe, machine: Machine, options: Options) -> tuple[tuple[int, int], float]:
    sizes = [content.label_size(picture) for picture in content.splits['train']]
    width, height = (median(side) for side in zip(*sizes))
    longest = options.size or (_cpu_side(content, max(width, height)) if not machine.gpu else _longest(recipe))
    shrink = min(1.0, longest / max(width, height))
    if content.task == 'classification':
        # Half a step of the coarsest map less than 32 pixels is lost.
        side = max(32, min(options.size or 224, round(min(width, height) / 32) * 32))
        return (side, side), min(1.0, side / min(width, height))
    return (max(32, round(width * shrink)), max(32, round(height * shrink))), shrink


def _cpu_side(content: Content, longest: float) -> int:
    smallest = _smallest_class(content)
    if not smallest:
        return _CPU_SIDE
    return round(min(_CPU_SIDE, max(_CPU_LEAST_SIDE, longest * _CPU_OBJECT / smallest)))


def _smallest_class(content: Content) -> float:
    """The size of the middle object of the class whose objects are smallest, in pixels; 0 without objects."""
    by_class: dict[str, list[Box]] = {}
    for picture in content.splits['train']:
        for box in picture.boxes:
            by_class.setdefault(box.label, []).append(box)
    return min((median(sized(boxes)) for boxes in by_class.values()), default=0.0)


def _longest(recipe: Recipe) -> int:
    """The longest side that the recipe itself trains with."""
    return 1333 if recipe.framework == 'mmdet' else max(recipe.cfg['crop_size']) if 'crop_size' in recipe.cfg else 224


def _batch(content: Content, recipe: Recipe, machine: Machine, size: tuple[int, int]) -> int:
    if not machine.gpu:
        return _CPU_BATCH[content.task]
    if content.task == 'classification':
        return 64 if machine.memory_gb >= 16 else 32
    per_megapixel = _GB_PER_MEGAPIXEL.get(recipe.arch, 3.1)
    fits = _MEMORY_SHARE * machine.memory_gb / (per_megapixel * size[0] * size[1] / 1e6)
    batch = 1
    while batch * 2 <= min(16, fits):
        batch *= 2
    return max(batch, 2)


def _epochs(content: Content, machine: Machine, *, from_scratch: bool) -> int:
    count = len(content.splits['train'])
    if machine.gpu:
        images = _GPU_IMAGES[content.task] * (_SCRATCH if from_scratch else 1)
        return max(12, min(200, ceil(images / count)))
    return max(3, min(100, ceil(_CPU_IMAGES[content.task] / count)))


def _precision(content: Content, machine: Machine) -> str:
    if not machine.gpu:
        return ''
    # mmcv's RoIAlign has no bfloat16.
    return 'bfloat16' if machine.bf16 and content.task != 'detection' else 'float16'


def _has_small_objects(content: Content, shrink: float) -> bool:
    return 0 < _smallest_class(content) * shrink < SMALL_OBJECT


def _class_weight(content: Content) -> tuple[float, ...]:
    """What ENet gives a class by its share of the pixels (arXiv:1606.02147, section 5): rare ones count more."""
    if content.task != 'segmentation':
        return ()
    counts = class_counts(content, 'train')
    total = max(1, counts.total())
    return tuple(round(1 / log(1.02 + counts[name] / total), 2) for name in content.classes)
