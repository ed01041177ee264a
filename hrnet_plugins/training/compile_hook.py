"""``torch.compile`` of the parts of the network that repeat."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import nn

from hrnet_plugins.models.layers import ResidualBlock
from hrnet_plugins.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the residual blocks of backbone and neck before training.

    Blocks of one width share what is compiled, and sizes are left open: the second size compiles some of it again, and
    later ones nothing. mmengine's own ``compile`` takes a whole training step instead, which
    breaks at every list of boxes. As ``custom_hooks=[dict(type='hrnet_plugins.CompileHook')]``. Weights, checkpoints
    and names stay. ``with_cp='block'`` and ``'module'`` save memory as ever.

    ``torch.compile`` compiles one function eight times at most, and all blocks are one function to it; the hook raises
    ``torch._dynamo.config.recompile_limit`` to what their widths need.

    Args:
        backend: As for ``torch.compile``.
        mode: As for ``torch.compile``.
    """

    priority = 'VERY_LOW'  # after the hooks that replace norms

    def __init__(self, *, backend: str = 'inductor', mode: str | None = None) -> None:
        self.backend = backend
        self.mode = mode

    def before_train(self, runner: Any) -> None:
        """Mark the blocks; each is compiled when it first runs.

        Raises:
            ValueError: If blocks are in a part with ``with_cp='norm'``, which follows each of their convolutions.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        blocks = _blocks(model)
        if any(_blocks(part) for part in model.modules() if getattr(part, 'grain', None) == 'norm'):
            raise ValueError(
                "CompileHook and with_cp='norm' exclude each other: it follows each convolution of a block, which a "
                "compiled one hides. Take with_cp='block' or 'module', or leave the hook out"
            )
        limit = torch._dynamo.config.recompile_limit
        torch._dynamo.config.recompile_limit = max(limit, WAYS * len({_kind(block) for block in blocks}))
        for block in blocks:
            block.compile(backend=self.backend, mode=self.mode, dynamic=True)
        print_log(f'{len(blocks)} residual blocks are compiled at the first step', logger=runner.logger)


WAYS = 8
"""How often blocks of one width may be compiled: with and without gradients, for other precisions and layouts."""


def _blocks(model: nn.Module) -> list[ResidualBlock]:
    return [module for module in model.modules() if isinstance(module, ResidualBlock)]


def _kind(block: ResidualBlock) -> tuple[Any, ...]:
    """Blocks with the same are compiled once."""
    return type(block), *(tuple(parameter.shape) for parameter in block.parameters())
