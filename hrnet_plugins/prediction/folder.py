"""The folder that predictions are written into."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hrnet_plugins.prediction.drawing import SCORE, draw
from hrnet_plugins.prediction.pictures import Source
from hrnet_plugins.prediction.predictor import Prediction
from hrnet_plugins.prediction.results import class_row, coco_rows, mask_row, numbers_for, save_label_map

RESULTS = 'predictions.json'
MASKS = 'masks'
_QUALITY = 92


class Folder:
    """A folder with a drawing of each picture, ``predictions.json``, and of a segmentor ``masks/``.

    Of a detector the JSON is a list in COCO's form of results; of a classifier a list of pictures with their classes;
    of a segmentor the classes, and a list of pictures with their masks. It is written at the end, also of what was done
    before an error.

    Args:
        path: The folder; made where it is missing.
        model: The model, with its config and classes.
        sources: All pictures.
        score: Least score of the objects that are drawn.
        drawings: Whether to draw.

    Raises:
        ValueError: If the folder is a file.
    """

    def __init__(
        self, path: Path, model: Any, sources: Sequence[Source], *, score: float = SCORE, drawings: bool = True
    ) -> None:
        if path.exists() and not path.is_dir():
            raise ValueError(f'`out` ({path}) is a file: name a folder')
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.score, self.drawings = path, score, drawings
        self.meta = dict(getattr(model, 'dataset_meta', None) or {})
        self.names = tuple(self.meta.get('classes') or ())
        self.numbers = numbers_for(model.cfg, self.names, [source.path for source in sources])
        self.rows: list[dict[str, Any]] = []
        self.segments = str(model.cfg.default_scope) == 'mmseg'
        self._video: Any = None
        self._video_of: Source | None = None

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end_video()
        content: Any = self.rows if not self.segments else dict(classes=list(self.names), pictures=self.rows)
        (self.path / RESULTS).write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')

    def add(self, prediction: Prediction) -> None:
        """Write what came of a picture or frame; nothing where it could not be read."""
        sample, name = prediction.sample, prediction.source.name
        if sample is None:
            return
        if prediction.frame is not None:
            name = f'{name}/{prediction.frame:06d}'
        if 'pred_instances' in sample:
            self.rows += coco_rows(prediction, self.names, self.numbers)
        elif 'pred_sem_seg' in sample:
            mask = f'{MASKS}/{name}.png'
            save_label_map(prediction, self.path / mask, self.meta)
            self.rows.append(mask_row(prediction, self.names, mask))
        else:
            self.rows.append(class_row(prediction, self.names))
        if self.drawings:
            self._draw(prediction)

    def _draw(self, prediction: Prediction) -> None:
        picture = draw(prediction.pixels, prediction.sample, self.meta, score=self.score)
        if prediction.frame is not None:
            self._add_frame(prediction.source, np.asarray(picture)[..., ::-1])
            return
        path = self.path / f'{prediction.source.name}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=_QUALITY)

    def _add_frame(self, source: Source, pixels: np.ndarray) -> None:
        import cv2  # noqa: PLC0415, only where there is a video

        if self._video_of is not source:
            self._end_video()
            read = cv2.VideoCapture(str(source.path))
            speed = read.get(cv2.CAP_PROP_FPS) or 25.0
            read.release()
            path = self.path / f'{source.name}.mp4'
            path.parent.mkdir(parents=True, exist_ok=True)
            self._size = (pixels.shape[1] // 2 * 2, pixels.shape[0] // 2 * 2)  # codecs want even sides
            self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'mp4v'), speed, self._size)
            self._video_of = source
        canvas = np.zeros((self._size[1], self._size[0], 3), np.uint8)
        part = pixels[: self._size[1], : self._size[0]]
        canvas[: part.shape[0], : part.shape[1]] = part
        self._video.write(canvas)

    def _end_video(self) -> None:
        if self._video is not None:
            self._video.release()
        self._video = self._video_of = None
