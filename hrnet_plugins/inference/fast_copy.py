"""The fast copy of a model: made at the first use, and again when the model has changed."""

from __future__ import annotations

import logging

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from hrnet_plugins.inference.adapters import accelerated_part, make_adapter
from hrnet_plugins.inference.change_detector import ChangeDetector
from hrnet_plugins.inference.fork_safe_lock import ForkSafeLock
from hrnet_plugins.inference.part import Part, Run
from hrnet_plugins.inference.precision import device_of, precision_of, precision_on
from hrnet_plugins.inference.runtimes.backends import Compile


class FastCopy:
    """Holds a model and its fast copy, which threads share.

    Args:
        plain: The model.
        dtype: Precision of the copy, where the device is faster in it.
        backend: Name of the backend.
        compile_part: The backend's ``compile``.
        log_difference: Log once how much the first outputs differ from the plain model's.
    """

    def __init__(
        self, plain: nn.Module, *, dtype: torch.dtype, backend: str, compile_part: Compile, log_difference: bool
    ) -> None:
        self.plain = plain
        self.dtype = dtype
        self.backend = backend
        self.log_difference = log_difference
        self._compile = compile_part
        self._adapter: nn.Module | None = None
        self._detector: ChangeDetector | None = None
        self._lock = ForkSafeLock()

    def current(self) -> nn.Module:
        """The adapter that computes what the model computes now."""
        with self._lock:
            if self._adapter is None or self._detector is None or self._detector.changed():
                self.drop()
                dtype = precision_on(device_of(self.plain), self.dtype)
                self._detector = ChangeDetector(self.plain)
                part = accelerated_part(self.plain)
                run = self._compile(part, dtype)
                self._adapter = make_adapter(self.plain, self._logged(run, part, dtype), dtype)
            return self._adapter

    def drop(self) -> None:
        """Forget the copy, which frees its memory."""
        with self._lock:
            self._adapter = self._detector = None

    def _logged(self, run: Run, part: Part, dtype: torch.dtype) -> Run:
        """``run``, which at its first call also runs the plain part and logs the difference, if that is asked for."""
        if not self.log_difference:
            return run

        def logged(images: Tensor) -> tuple[Tensor, ...]:
            outputs = run(images)
            if self.log_difference:
                self.log_difference = False
                plain = part.module(images.to(precision_of(self.plain)))
                print_log(self._difference(images, outputs, plain, dtype), logger='current', level=logging.INFO)
            return outputs

        return logged

    def _difference(
        self, images: Tensor, outputs: tuple[Tensor, ...], plain: tuple[Tensor, ...], dtype: torch.dtype
    ) -> str:
        mean = worst = 0.0
        for a, b in zip(outputs, plain, strict=True):
            error = (a.float() - b.float()).abs() / b.float().abs().max()
            mean, worst = max(mean, float(error.mean())), max(worst, float(error.max()))
        return (
            f'{type(self.plain).__name__} runs accelerated ({self.backend}, {dtype}): at '
            f'{"x".join(map(str, images.shape))} its outputs differ from the plain ones by {mean:.1e} on average and '
            f'{worst:.1e} at most, as a part of the greatest'
        )
