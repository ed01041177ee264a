"""The default backend: PyTorch's own operators on a folded twin of the part, ready at once."""

from __future__ import annotations

import torch
from torch import Tensor

from hrnet_plugins.inference.fast.make import mirror
from hrnet_plugins.inference.files import Run
from hrnet_plugins.inference.parts import Part


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.backends.Compile``."""
    twin = mirror(part.module, dtype)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        return twin(images.to(dtype, memory_format=torch.channels_last))

    return run
