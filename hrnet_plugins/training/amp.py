"""Mixed precision on CPUs, where mmengine's own refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS as MMENGINES
from torch import nn

from hrnet_plugins.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """mmengine's ``AmpOptimWrapper`` for CPUs: bfloat16, whose range needs no scaling of the loss.

    It saves memory. Time it can save where the processor multiplies faster in bfloat16, as with AMX; Intel's
    AVX512_BF16 alone multiplies slower. ``hrnet-plugins train RECIPE --amp`` takes it where there is no GPU.

    Args:
        loss_scale: Taken and not used, so that configs for GPUs work.
        dtype: ``'bfloat16'``, torch's only choice for training here; ``None`` means that, too.
        options: Those of ``OptimWrapper``.

    Raises:
        ValueError: If ``dtype`` is another.
    """

    def __init__(
        self,
        *,
        loss_scale: object = 'dynamic',
        dtype: str | torch.dtype | None = None,
        **options: Any,
    ) -> None:
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            raise ValueError(f"`dtype` ({dtype}) of mixed precision on a CPU must be 'bfloat16': leave it out")
        super().__init__(**options)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Forwards and losses inside are computed in mixed precision."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state, of mmengine's on a GPU, too."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != 'loss_scaler'})


def stand_in_without_gpu() -> None:
    """Put this under mmengine's name, where there is no GPU: the frameworks' ``--amp`` asks for that name."""
    if not torch.cuda.is_available():
        MMENGINES.register_module(name='AmpOptimWrapper', module=CPUAmpOptimWrapper, force=True)
