"""The operators that are not here, and the error that says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn


def missing(operator: str) -> Callable[..., NoReturn]:
    """A function that takes the place of an operator and raises NotImplementedError, which names it, when called."""

    def refuse(*args: Any, **options: Any) -> NoReturn:
        from hrnet_plugins.mmcv_ops.install import how_to_compile  # noqa: PLC0415, only on this way out

        raise NotImplementedError(
            f"mmcv's operator {operator} is not among those that hrnet-plugins has on torchvision's. {how_to_compile()}"
        )

    refuse.__name__ = refuse.__qualname__ = operator
    return refuse
