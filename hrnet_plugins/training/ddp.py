"""Distributed training on CPUs, of recipes that are written for GPUs."""

from __future__ import annotations

from typing import Any

from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from torch import nn

from hrnet_plugins.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class AnyDeviceDDP(MMDistributedDataParallel):
    """mmengine's ``MMDistributedDataParallel``, which also takes a model on a CPU.

    torch's refuses there both the ``device_ids`` that mmengine gives it and synchronised batch norm: the first are
    dropped, the second becomes batch norm with the same parameters and statistics. That must happen here, since a
    runner wraps its model before it has hooks; ``SyncBNFallbackHook`` tells of it. On a GPU this changes nothing.
    As ``model_wrapper_cfg=dict(type='hrnet_plugins.AnyDeviceDDP')``, where mmengine gives the rest.

    Args:
        module: The model.
        device_ids: Device of this process; not used on a CPU.
        broadcast_buffers: Whether the first process's statistics overwrite the others'; mmengine's default.
        options: Those of torch's ``DistributedDataParallel``, such as ``find_unused_parameters``.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        device_ids: list[int] | None = None,
        broadcast_buffers: bool = False,
        **options: Any,
    ) -> None:
        if next(module.parameters()).device.type == 'cpu':
            module, device_ids = revert_sync_batchnorm(module), None
        super().__init__(module=module, device_ids=device_ids, broadcast_buffers=broadcast_buffers, **options)
