"""mmengine's runner for distributed training without GPUs."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn

from hrnet_plugins.registry import RUNNERS

_WRAPPER = 'hrnet_plugins.AnyDeviceDDP'


@RUNNERS.register_module()
class GlooRunner(Runner):
    """Several processes on CPUs, which talk through gloo.

    mmengine's own runner picks a GPU for each process before anything else. With ``runner_type =
    'hrnet_plugins.GlooRunner'`` any config trains where there is none, and is mmengine's runner where there are some or
    where a single process trains. ``hrnet-plugins train --launcher pytorch`` sets it by itself on such a machine.
    """

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set the environment up, with a gloo process group where there is no GPU."""
        if self._on_cpus() and not torch.distributed.is_initialized():
            torch.distributed.init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training; what takes a model on a CPU stands in for mmengine's own wrapper."""
        if self._on_cpus():
            if model_wrapper_cfg is None:
                unused = self.cfg.get('find_unused_parameters', False)
                model_wrapper_cfg = dict(type=_WRAPPER, find_unused_parameters=unused)
            elif _names_mmengines(model_wrapper_cfg):
                # torch's default, which mmengine leaves to a config, and AnyDeviceDDP does not.
                model_wrapper_cfg = {'broadcast_buffers': True, **model_wrapper_cfg, 'type': _WRAPPER}
        return super().wrap_model(model_wrapper_cfg, model)

    def _on_cpus(self) -> bool:
        return self.distributed and not torch.cuda.is_available()


def _names_mmengines(cfg: dict[str, Any]) -> bool:
    """Whether a wrapper's config means ``MMDistributedDataParallel``, which it does without a type, too."""
    kind = cfg.get('type', 'MMDistributedDataParallel')
    return (MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind) is MMDistributedDataParallel
