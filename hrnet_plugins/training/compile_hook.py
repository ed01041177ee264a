"""``torch.compile`` of the parts of the network that repeat."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from hrnet_plugins.models.layers import ResidualBlock
from hrnet_plugins.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the residual blocks of backbone and neck before training.

    Blocks of one width share what is compiled, and sizes are left open, so that there is little to compile and nothing
    to compile again for images of other sizes. mmengine's own ``compile`` takes a whole training step instead, which
    breaks at every list of boxes. As ``custom_hooks=[dict(type='hrnet_plugins.CompileHook')]``. Weights, checkpoints
    and names stay.

    Args:
        backend: As for ``torch.compile``.
        mode: As for ``torch.compile``.
    """

    priority = 'VERY_LOW'  # after the hooks that replace norms

    def __init__(self, *, backend: str = 'inductor', mode: str | None = None) -> None:
        self.backend = backend
        self.mode = mode

    def before_train(self, runner: Any) -> None:
        """Mark the blocks; each is compiled when it first runs."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
        for block in blocks:
            block.compile(backend=self.backend, mode=self.mode, dynamic=True)
        print_log(f'{len(blocks)} residual blocks are compiled at the first step', logger=runner.logger)
