"""The registered name ``Accelerated``: acceleration by a line of config."""

from __future__ import annotations

from typing import Any

from torch import nn

from hrnet_plugins.registry import MODELS


@MODELS.register_module(name='Accelerated')
def accelerated(*, plain: str | None = None, dtype: str = 'fp32', backend: str = 'eager', **model: Any) -> nn.Module:
    """Build the model that a config names, accelerated: ``type='hrnet_plugins.Accelerated', plain='FasterRCNN'``.

    It logs once how much its outputs differ from the plain model's.

    Args:
        plain: The type that the config had.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        backend: A key of ``hrnet_plugins.inference.BACKENDS``.
        model: The model's own arguments.

    Raises:
        ValueError: If ``plain`` is not given, or as ``accelerate`` does.
    """
    from hrnet_plugins.inference import accelerate  # noqa: PLC0415, mmengine imports this file for every model

    if plain is None:
        raise ValueError("`plain` (None) must name the model's own type, such as 'FasterRCNN'")
    built = MODELS.parent.build({**model, 'type': plain})  # under the default scope, as without us
    return accelerate(built, dtype=dtype, backend=backend, log_difference=True)
