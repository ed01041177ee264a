"""The fast twin of a model: made when it is needed, made anew when the model has changed."""

from __future__ import annotations

import logging
import threading

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from hrnet_plugins.inference.backends import Compile
from hrnet_plugins.inference.files import Run
from hrnet_plugins.inference.parts import Part
from hrnet_plugins.inference.precision import check_device, device_of, precision_of
from hrnet_plugins.inference.twins import accelerated_part, twin_of
from hrnet_plugins.inference.watch import Watch


class Engine:
    """Holds a model and its fast twin.

    Args:
        plain: The model.
        dtype: Precision inside.
        backend: Name of the backend.
        compile_part: The backend.
        announce: Log once how much the first outputs differ from the plain model's.
    """

    def __init__(
        self, plain: nn.Module, *, dtype: torch.dtype, backend: str, compile_part: Compile, announce: bool
    ) -> None:
        self.plain = plain
        self.dtype = dtype
        self.backend = backend
        self.announce = announce
        self._compile = compile_part
        self._twin: nn.Module | None = None
        self._watch: Watch | None = None
        self._making = threading.RLock()

    def twin(self) -> nn.Module:
        """The twin that computes what the model does now."""
        with self._making:
            if self._twin is None or self._watch is None or self._watch.changed():
                self.drop()
                check_device(self.dtype, device_of(self.plain))
                self._watch = Watch(self.plain)
                part = accelerated_part(self.plain)
                run = self._compile(part, self.dtype)
                self._twin = twin_of(self.plain, self._announced(run, part) if self.announce else run, self.dtype)
            return self._twin

    def drop(self) -> None:
        """Forget the twin, and free what it held."""
        with self._making:
            self._twin = self._watch = None

    def _announced(self, run: Run, part: Part) -> Run:
        def first(images: Tensor) -> tuple[Tensor, ...]:
            outputs = run(images)
            if self.announce:
                self.announce = False
                plain = part.module(images.to(precision_of(self.plain)))
                print_log(self._difference(images, outputs, plain), logger='current', level=logging.INFO)
            return outputs

        return first

    def _difference(self, images: Tensor, ours: tuple[Tensor, ...], plain: tuple[Tensor, ...]) -> str:
        mean = worst = 0.0
        for a, b in zip(ours, plain, strict=True):
            error = (a.float() - b.float()).abs() / b.float().abs().max()
            mean, worst = max(mean, float(error.mean())), max(worst, float(error.max()))
        return (
            f'{type(self.plain).__name__} runs accelerated ({self.backend}, {self.dtype}): at '
            f'{"x".join(map(str, images.shape))} its outputs differ from the plain ones by {mean:.1e} on average and '
            f'{worst:.1e} at most, as a part of the greatest'
        )
