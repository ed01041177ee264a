"""Saying that a recipe with synchronised batch norm trains without it."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model.utils import _BatchNormXd

from hrnet_plugins.registry import HOOKS


@HOOKS.register_module()
class SyncBNFallbackHook(Hook):
    """Say, before training on a CPU, that plain batch norm stands in for synchronised batch norm.

    torch's ``SyncBatchNorm`` does not train there. Without distributed training mmengine replaces it, with it
    ``AnyDeviceDDP`` does; both leave mmengine's ``_BatchNormXd``, by which this hook knows.
    """

    def before_train(self, runner: Any) -> None:
        """Log one warning, if any norm of the runner's model was replaced."""
        if next(runner.model.parameters()).device.type != 'cpu':
            return
        replaced = sum(isinstance(module, _BatchNormXd) for module in runner.model.modules())
        if replaced:
            print_log(
                f'{replaced} synchronised batch norms train as plain batch norm, since the model is on a CPU: each of '
                f'the {runner.world_size} processes normalises with the statistics of its own images, so results '
                'differ from those of synchronised training on GPUs',
                logger=runner.logger,
                level=logging.WARNING,
            )
