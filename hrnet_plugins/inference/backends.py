"""What can run an accelerated part of a model, and where each is implemented."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from hrnet_plugins.inference.files import Run
from hrnet_plugins.inference.parts import Part

Compile = Callable[[Part, torch.dtype], Run]
"""Makes a part ready to run in a precision.

The part's module is the plain one, in eval mode, with its own tensors: read them, do not change them. What is returned
takes images (B, C, H, W) in float32 or in that precision, on the device the module is on now, and gives tensors of
either precision. It need not follow later changes of the weights: the caller asks again.
"""


@dataclass(frozen=True)
class Backend:
    """One way to run a part.

    Args:
        module: Where ``compile``, a ``Compile``, is implemented; imported only when asked for.
        packages: What it imports beyond this package's own dependencies.
    """

    module: str
    packages: tuple[str, ...] = ()


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        'eager': Backend('hrnet_plugins.inference.eager'),
        'inductor': Backend('hrnet_plugins.inference.inductor'),
        'onnxruntime': Backend('hrnet_plugins.inference.onnx', ('onnx', 'onnxscript', 'onnxruntime')),
        'openvino': Backend('hrnet_plugins.inference.openvino', ('openvino',)),
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
