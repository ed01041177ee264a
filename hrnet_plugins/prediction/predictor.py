"""A model with the steps of its test pipeline: pictures in, the framework's data samples out, batch by batch."""

from __future__ import annotations

import copy
import importlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hrnet_plugins.data.pictures import header
from hrnet_plugins.prediction.pictures import Source

if TYPE_CHECKING:
    from torch import nn

_THREADS = 2
_AHEAD = 4
"""Batches that are read while the model works."""
_LABELS = ('LoadAnnotations', 'LoadLabels', 'LoadPanopticAnnotations', 'FilterAnnotations')
"""Steps of a pipeline for what a picture without labels does not have."""
_READS = ('LoadImageFromFile', 'LoadImageFromNDArray')


@dataclass
class Prediction:
    """What came of one picture, or of one frame of a video.

    Args:
        source: The picture.
        frame: Number of the frame, from 0; ``None`` for a picture.
        sample: The framework's data sample on the CPU: a ``DetDataSample``, ``SegDataSample`` or ``DataSample``;
            ``None`` where the picture could not be read.
        error: Why not, in that case.
        pixels: The picture as the pipeline read it (H, W, 3), BGR, uint8; empty where nobody asked for it.
    """

    source: Source
    frame: int | None = None
    sample: Any = None
    error: str = ''
    pixels: Any = None


@dataclass
class _Read:
    """A picture after the pipeline."""

    prediction: Prediction
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.data['inputs'].shape) if self.data else ()


class Predictor:
    """A model with the steps of its test pipeline.

    The frameworks' inferencers do the same with the same parts, but end at the first picture that cannot be read, and
    run pipelines of configs with steps for labels only in part.

    Args:
        model: A model of mmdet, mmseg or mmpretrain in eval mode, with its config as ``cfg``, as ``create_model``
            leaves it.
        batch: Pictures a step. Only pictures that the pipeline makes equally large share one, so that nothing is
            padded for the sake of others.
        keep_pixels: Keep each picture beside its sample.

    Raises:
        ValueError: If the model has no config with a test pipeline.
    """

    def __init__(self, model: nn.Module, *, batch: int = 1, keep_pixels: bool = False) -> None:
        self.model = model
        self.batch = batch
        self.keep_pixels = keep_pixels
        self.read, self.steps = _pipelines(model)

    def __call__(self, sources: Iterable[Source]) -> Iterator[Prediction]:
        """The predictions of pictures and of all frames of videos, in order; unreadable ones have no sample."""
        waiting: list[_Read] = []
        for read in self._read_ahead(sources):
            if waiting and (len(waiting) == self.batch or read.shape != waiting[0].shape):
                yield from self._run(waiting)
                waiting = []
            if read.data:
                waiting.append(read)
            else:
                yield read.prediction
        if waiting:
            yield from self._run(waiting)

    def _run(self, reads: list[_Read]) -> list[Prediction]:
        import torch  # noqa: PLC0415, the command line asks for this module before it knows whether it needs torch

        data: dict[str, Any] = dict(
            inputs=[read.data['inputs'] for read in reads], data_samples=[read.data['data_samples'] for read in reads]
        )
        if _scope(self.model) == 'mmpretrain':
            data['inputs'] = torch.stack(data['inputs'])  # its preprocessor takes a batch
        with torch.no_grad():
            samples = self.model.test_step(data)  # type: ignore[operator]
        for read, sample in zip(reads, samples):
            read.prediction.sample = sample.cpu()
        return [read.prediction for read in reads]

    def _read_ahead(self, sources: Iterable[Source]) -> Iterator[_Read]:
        """The pictures through the pipeline, in order, some of them ahead of the model in threads."""
        todo: deque[Future[_Read]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for work in self._work(sources):
                    todo.append(pool.submit(work))
                    if len(todo) > _AHEAD * self.batch:
                        yield todo.popleft().result()
                while todo:
                    yield todo.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, sources: Iterable[Source]) -> Iterator[Callable[[], _Read]]:
        for source in sources:
            if not source.is_video:
                yield lambda source=source: self._one(Prediction(source), source.pixels)  # type: ignore[misc]
                continue
            number = -1
            for number, pixels in enumerate(frames(source)):
                one = Prediction(source, frame=number)
                yield lambda one=one, pixels=pixels: self._one(one, pixels)  # type: ignore[misc]
            if number < 0:
                failed = Prediction(source, error='no frame of the video can be read')
                yield lambda failed=failed: _Read(failed)  # type: ignore[misc]

    def _one(self, prediction: Prediction, pixels: Any) -> _Read:
        """One picture through the pipeline."""
        data: dict[str, Any]
        if pixels is None:
            path = prediction.source.path
            prediction.error = header(path).error
            if prediction.error:
                return _Read(prediction)
            try:
                data = self.read(dict(img_path=str(path), img_id=0))
            except Exception as error:  # of OpenCV and the frameworks, for pictures that Pillow could read
                prediction.error = f'{type(error).__name__}: {error}'.splitlines()[0]
                return _Read(prediction)
        else:
            shape = pixels.shape[:2]
            data = dict(img=pixels, img_path=str(prediction.source.path), img_id=0, img_shape=shape, ori_shape=shape)
        if self.keep_pixels:
            prediction.pixels = data['img'].astype(np.uint8)
        return _Read(prediction, self.steps(data))


def frames(source: Source) -> Iterator[Any]:
    """The frames of a video (H, W, 3), BGR."""
    import cv2  # noqa: PLC0415, only where there is a video

    video = cv2.VideoCapture(str(source.path))
    try:
        while True:
            there, pixels = video.read()
            if not there:
                return
            yield pixels
    finally:
        video.release()


def frame_count(source: Source) -> int:
    """How many frames a video says it has; 0 where it does not say, or cannot be read."""
    import cv2  # noqa: PLC0415

    video = cv2.VideoCapture(str(source.path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    return max(0, count)


def _pipelines(model: Any) -> tuple[Callable[[dict[str, Any]], Any], Callable[[dict[str, Any]], Any]]:
    """The first step of the model's test pipeline, which reads a picture, and the others, without labels."""
    from mmengine.dataset import Compose  # noqa: PLC0415, mmengine is slow to import
    from mmengine.registry import DefaultScope  # noqa: PLC0415

    scope = _scope(model)
    steps = pipeline_of(model.cfg)
    if steps is None or not steps or _plain(steps[0]['type']) not in _READS:
        raise ValueError(f'`where`: the config {model.cfg.filename} has no test pipeline that begins with a picture')
    rest = [step for step in steps[1:] if _plain(step['type']) not in _LABELS]
    if rest and 'meta_keys' in rest[-1]:
        rest[-1]['meta_keys'] = tuple(key for key in rest[-1]['meta_keys'] if key != 'img_id')
    importlib.import_module(f'{scope}.datasets')
    with DefaultScope.overwrite_default_scope(scope):
        return Compose(steps[:1]), Compose(rest)


def pipeline_of(cfg: Any) -> list[Any] | None:
    """A copy of the test pipeline of a config; ``None`` without one."""
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (cfg.get(name) or {}).get('dataset')
        while dataset is not None and ('dataset' in dataset or 'datasets' in dataset):  # wrappers
            dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
        if dataset is not None and dataset.get('pipeline'):
            return copy.deepcopy(list(dataset['pipeline']))
    return copy.deepcopy(cfg.get('test_pipeline'))


def _scope(model: Any) -> str:
    return str(model.cfg.default_scope)


def _plain(name: Any) -> str:
    """The name of a step without the scope before it."""
    return str(getattr(name, '__name__', name)).rpartition('.')[2]
