"""The table of backends: what can run an accelerated part of a model, and where each is implemented."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from hrnet_plugins.inference.part import Part, Run

Compile = Callable[[Part, torch.dtype], Run]
"""Prepares a part to run in a precision.

The part's module is the plain one, in eval mode, with its own tensors: a backend may read them and must not change
them. The result takes images (B, C, H, W), in float32 or in the precision, on the device where the module is now, and
returns tensors of either precision. It need not follow later changes of the weights: the caller compiles again.
"""


@dataclass(frozen=True)
class Backend:
    """One way to run a part.

    Args:
        module: The module with ``compile``, a ``Compile``. It is imported when the backend is asked for.
        packages: Packages that the module imports, beyond the dependencies of this library.
    """

    module: str
    packages: tuple[str, ...] = ()


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        'eager': Backend('hrnet_plugins.inference.runtimes.eager'),
        'inductor': Backend('hrnet_plugins.inference.runtimes.inductor'),
        'onnxruntime': Backend('hrnet_plugins.inference.runtimes.onnx', ('onnx', 'onnxscript', 'onnxruntime')),
        'openvino': Backend('hrnet_plugins.inference.runtimes.openvino', ('openvino',)),
    }
)
"""The backends of ``accelerate`` by name."""


def compile_of(name: str) -> Compile:
    """The ``compile`` function of a backend.

    Raises:
        ValueError: If the backend is unknown, or its packages are not installed.
    """
    if name not in BACKENDS:
        raise ValueError(f'`backend` ({name!r}) is unknown; known: {", ".join(BACKENDS)}')
    backend = BACKENDS[name]
    absent = [package for package in backend.packages if importlib.util.find_spec(package) is None]
    if absent:
        raise ValueError(f'`backend` ({name!r}) needs {", ".join(absent)}: pip install {" ".join(absent)}')
    return importlib.import_module(backend.module).compile
