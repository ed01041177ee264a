"""A model over a labelled set of its config: scores, and the pictures at both ends."""

from __future__ import annotations

import base64
import heapq
import importlib
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from hrnet_plugins.prediction.drawing import draw
from hrnet_plugins.prediction.predictor import Predictor
from hrnet_plugins.reporting.scores import Judge, judge_for

_WIDTH = 640
"""Largest side of a drawing in the page, in pixels."""
_LEAST = 240
"""Pictures whose smaller side has fewer pixels are drawn larger, for the names in them."""


@dataclass
class Shown:
    """A picture with its labels and its predictions.

    Args:
        name: Its file's name.
        score: How good the predictions are, from 0 to 1.
        labels: The drawing of the labels, JPEG.
        found: The drawing of the predictions, JPEG.
    """

    name: str
    score: float
    labels: bytes
    found: bytes

    @staticmethod
    def address(picture: bytes) -> str:
        """A drawing as an address that holds it."""
        return f'data:image/jpeg;base64,{base64.b64encode(picture).decode("ascii")}'


@dataclass
class Evaluation:
    """What came of a set.

    Args:
        split: ``test``, ``val`` or ``train``.
        judge: The scores.
        count: Pictures.
        best: Those with the best predictions, the best first.
        worst: Those with the worst, the worst first; none of the best.
        unreadable: What could not be read, with the reason.
    """

    split: str
    judge: Judge
    count: int = 0
    best: list[Shown] = field(default_factory=list)
    worst: list[Shown] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def dataset_for(cfg: Any, split: str) -> Any:
    """The labelled data set of a config.

    Raises:
        ValueError: If the config has none of that name, or its files are not here.
    """
    from mmengine.config import ConfigDict  # noqa: PLC0415, mmengine is slow to import
    from mmengine.registry import DATASETS, DefaultScope  # noqa: PLC0415

    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(f'`split` ({split}): the config has no {split}_dataloader')
    row = ConfigDict(loader['dataset'])
    if split == 'train':  # as it is tested
        if not (cfg.get('val_dataloader') or cfg.get('test_dataloader')):
            raise ValueError(f'`split` ({split}): the config has no other set whose steps for testing it could have')
        row = ConfigDict(row, pipeline=(cfg.get('val_dataloader') or cfg.get('test_dataloader'))['dataset']['pipeline'])
    scope = str(cfg.default_scope)
    importlib.import_module(f'{scope}.datasets')
    try:
        with DefaultScope.overwrite_default_scope(scope):
            return DATASETS.build(row)
    except Exception as error:  # of any data set's reader, for files that are elsewhere
        raise ValueError(
            f'the {split} set cannot be read: {f"{type(error).__name__}: {error}".splitlines()[0]}'
        ) from None


def evaluate(
    model: Any,
    split: str,
    *,
    shown: int = 6,
    limit: int | None = None,
    advance: Callable[[int], None] = lambda total: None,
) -> Evaluation:
    """Predict a labelled set and judge the predictions.

    Args:
        model: A model with its config as ``cfg``, in eval mode.
        split: ``test``, ``val`` or ``train``.
        shown: Pictures that are drawn at each end; 0 for none.
        limit: Most pictures, evenly taken from the set; all by default.
        advance: Called after each picture, with how many there are.

    Raises:
        ValueError: As ``dataset_for``; if the set has no picture with labels that can be read.
    """
    dataset = dataset_for(model.cfg, split)
    names = tuple((getattr(model, 'dataset_meta', None) or {}).get('classes') or dataset.metainfo['classes'])
    judge = judge_for(str(model.cfg.default_scope), names)
    found = Evaluation(split, judge)
    ends = _Ends(shown)
    step = max(1, -(-len(dataset) // limit)) if limit else 1
    chosen = range(0, len(dataset), step)
    for sample in samples(model, dataset, chosen, unreadable=found.unreadable, advance=advance):
        found.count += 1
        ends.add(judge.add(sample), sample)
    if not found.count:
        raise ValueError(f'no picture of the {split} set can be read: {"; ".join(found.unreadable[:3])}')
    read = Predictor(model).read
    meta = dict(getattr(model, 'dataset_meta', None) or {}, classes=names)
    best, worst = ends.both()
    found.best = [_shown(score, sample, read, meta) for score, sample in best]
    found.worst = [_shown(score, sample, read, meta) for score, sample in worst]
    return found


def samples(
    model: Any,
    dataset: Any,
    chosen: Sequence[int],
    *,
    unreadable: list[str] | None = None,
    advance: Callable[[int], None] = lambda total: None,
) -> Iterator[Any]:
    """The data samples of some pictures of a data set, with labels and predictions, on the CPU.

    Args:
        model: The model, in eval mode.
        dataset: As ``dataset_for`` gives it.
        chosen: Numbers of the pictures.
        unreadable: Takes what cannot be read, with the reason.
        advance: Called after each picture, with how many there are.
    """
    import torch  # noqa: PLC0415, slow to import

    for i in chosen:
        try:
            data = dataset[i]
        except Exception as error:  # of the many readers
            if unreadable is not None:
                unreadable.append(f'picture {i}: {type(error).__name__}: {error}'.splitlines()[0])
            continue
        finally:
            advance(len(chosen))
        inputs = data['inputs']
        batch = dict(
            inputs=inputs[None] if model.cfg.default_scope == 'mmpretrain' else [inputs],
            data_samples=[data['data_samples']],
        )
        with torch.no_grad():
            sample = model.test_step(batch)[0].cpu()
        for heavy in ('seg_logits', 'gt_edge_map'):
            if heavy in sample:
                delattr(sample, heavy)
        yield sample


class _Ends:
    """The samples with the highest and with the lowest scores; of equal ones the first are the best."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._high: list[tuple[float, int, Any]] = []
        self._low: list[tuple[float, int, Any]] = []
        self._number = itertools.count()

    def add(self, score: float, sample: Any) -> None:
        number = next(self._number)
        for heap, entry in ((self._high, (score, -number, sample)), (self._low, (-score, number, sample))):
            heapq.heappush(heap, entry)
            if len(heap) > self.count:
                heapq.heappop(heap)

    def both(self) -> tuple[list[tuple[float, Any]], list[tuple[float, Any]]]:
        """The best and the worst; where there are few, each is at one end alone."""
        low, high = (sorted(heap, key=lambda row: row[:2], reverse=True) for heap in (self._low, self._high))
        total = next(self._number)
        if total < 2 * self.count:
            low, high = low[: total // 2], high[: total - total // 2]
        return [(key, sample) for key, _, sample in high], [(-key, sample) for key, _, sample in low]


def _shown(score: float, sample: Any, read: Callable[[dict[str, Any]], Any], meta: dict[str, Any]) -> Shown:
    pixels = read(dict(img_path=sample.img_path, img_id=0))['img']
    scale = max(1, _LEAST // min(pixels.shape[:2]))
    labels, found = (_jpeg(draw(pixels, sample, meta, truth=truth, scale=scale)) for truth in (True, False))
    return Shown(Path(sample.img_path).name, score, labels, found)


def _jpeg(picture: Image.Image) -> bytes:
    picture.thumbnail((_WIDTH, _WIDTH))
    out = io.BytesIO()
    picture.save(out, format='JPEG', quality=85)
    return out.getvalue()
