"""Predictions for pictures, in Python and for the command line."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hrnet_plugins.prediction.drawing import SCORE
from hrnet_plugins.prediction.pictures import Source, find_sources
from hrnet_plugins.prediction.predictor import Prediction, Predictor, frame_count
from hrnet_plugins.prediction.trained import find_trained

if TYPE_CHECKING:
    from torch import nn

GPU_BATCH = 8
"""Pictures a step on a GPU; on a CPU more than one at a time are not faster."""


def predict(
    where: str | os.PathLike[str] | nn.Module,
    pictures: Any,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    score: float = SCORE,
    drawings: bool = True,
    batch: int | None = None,
    device: str | None = None,
    fast: bool = False,
    dtype: Literal['fp32', 'bf16', 'fp16'] | None = None,
) -> list[Any]:
    """Predict what is in pictures with a trained model.

    Args:
        where: A work folder, of which the best checkpoint is taken; a config, with ``checkpoint``; a name of
            ``list_weights``; or a model that ``create_model`` made, which saves loading it again.
        pictures: A picture or a list of them: files, folders, patterns such as ``'shots/*.jpg'``, videos, and arrays
            (H, W, 3), BGR, uint8.
        checkpoint: Another checkpoint than the work folder's best.
        out: A folder for drawings and files, as of ``hrnet-plugins predict``; nothing is written without one.
        score: Least score of the objects that are drawn; files and samples have all.
        drawings: Draw; otherwise ``out`` gets files alone.
        batch: Pictures a step; by default 1 on a CPU and 8 on a GPU. Pictures of other sizes are not padded.
        device: Such as ``'cuda:1'``; by default a GPU, if there is one. A model that is given stays where it is.
        fast: Use ``accelerate``.
        dtype: Its precision, which implies it.

    Returns:
        The framework's data samples, on the CPU, one a picture or frame: ``DetDataSample`` with ``pred_instances``,
        ``SegDataSample`` with ``pred_sem_seg``, ``DataSample`` with ``pred_label`` and ``pred_score``. Their
        ``img_path`` says of which picture. Pictures that cannot be read are left out with a warning.

    Raises:
        ValueError: If there is no such model or picture, or an argument is out of range.
        FileNotFoundError: If a weight cannot be had.
    """
    given = [pictures] if isinstance(pictures, (str, os.PathLike)) or hasattr(pictures, 'shape') else list(pictures)
    sources = find_sources(given, leave_out=None if out is None else Path(out).resolve())
    model = model_for(where, checkpoint=checkpoint, device=device, fast=fast, dtype=dtype)
    samples = []
    for prediction in predictions(model, sources, out=out, score=score, drawings=drawings, batch=batch):
        if prediction.error:
            warnings.warn(f'{prediction.source.path} was left out: {prediction.error}', stacklevel=2)
        else:
            samples.append(prediction.sample)
    return samples


def predictions(
    model: Any,
    sources: Sequence[Source],
    *,
    out: str | os.PathLike[str] | None = None,
    score: float = SCORE,
    drawings: bool = True,
    batch: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Prediction]:
    """The predictions of a model one by one, written into a folder if one is given.

    Args:
        model: As ``model_for`` makes it.
        sources: The pictures.
        out: The folder.
        score: Least score of the objects that are drawn.
        drawings: Whether to draw.
        batch: Pictures a step.
        advance: Called after each picture or frame.
    """
    if batch is not None and batch < 1:
        raise ValueError(f'`batch` ({batch}) must be 1 at least')
    if not 0 <= score <= 1:
        raise ValueError(f'`score` ({score}) must be between 0 and 1')
    on_gpu = next(model.parameters()).device.type != 'cpu'
    predictor = Predictor(model, batch=batch or (GPU_BATCH if on_gpu else 1), keep_pixels=out is not None and drawings)
    if out is None:
        for prediction in predictor(sources):
            advance()
            yield prediction
        return
    from hrnet_plugins.prediction.folder import Folder  # noqa: PLC0415, only where something is written

    with Folder(Path(out), model, sources, score=score, drawings=drawings) as folder:
        for prediction in predictor(sources):
            folder.add(prediction)
            prediction.pixels = None
            advance()
            yield prediction


def model_for(
    where: Any,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    fast: bool = False,
    dtype: str | None = None,
) -> Any:
    """The model that is meant, with its weights, on its device, accelerated if asked; see ``predict``."""
    import torch  # noqa: PLC0415, slow to import

    from hrnet_plugins.hub import create_model, load_weights  # noqa: PLC0415

    if isinstance(where, torch.nn.Module):
        if getattr(where, 'cfg', None) is None:
            raise ValueError('`where` is a model without `cfg`: make it with `create_model`')
        if checkpoint is not None:
            raise ValueError(f'`where` is a model, which has its weights, and `checkpoint` ({checkpoint}) others')
        model = where.eval() if device is None else where.eval().to(device)
    else:
        found = find_trained(where, checkpoint=checkpoint)
        model = create_model(found.recipe, checkpoint=False)
        load_weights(model, found.checkpoint or found.recipe)
        try:
            model = model.to(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        except (RuntimeError, AssertionError) as error:  # torch says no more than that where there is no GPU
            raise ValueError(f'`device` ({device}) is not to be had: {str(error).splitlines()[0]}') from None
    if fast or dtype is not None:
        from hrnet_plugins.inference.accelerate import accelerate  # noqa: PLC0415

        model = accelerate(model, dtype=dtype)
    return model


def count(sources: Sequence[Source]) -> int:
    """How many pictures and frames there are; of a video as many as it says."""
    return sum(frame_count(source) if source.is_video else 1 for source in sources)
