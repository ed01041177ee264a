"""Inductor, PyTorch's compiler, ahead of time: its packages, and parts run in process through one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler
from torch.export import ExportedProgram

from hrnet_plugins.inference.parts import Part
from hrnet_plugins.inference.patches import dynamic_shape_patches
from hrnet_plugins.inference.recorded import Run, check_supported, compile_recorded, reason

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)


def write(program: ExportedProgram, part: Part, path: Path, facts: Mapping[str, str]) -> str:
    """Compile a recorded program into one package, weights included, for this kind of machine. It takes minutes.

    Raises:
        ValueError: If there is no C++ compiler, or, with the reason, if Inductor cannot compile something in it.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ValueError(f'Inductor needs a C++ compiler: install g++, or name one in CXX ({error})') from None
    options = {'freezing': True, 'aot_inductor.metadata': dict(facts)}  # freezing: weights in oneDNN's own layouts
    try:
        with torch.no_grad(), dynamic_shape_patches():
            aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
    except Exception as error:
        raise ValueError(f'the model cannot be compiled by Inductor: {reason(error)}') from error
    return f'AOTInductor package of PyTorch {torch.__version__}'


def open_with_runtime(path: Path) -> Run:
    """Open a package on the device it was compiled for; images in its precision."""
    package = aoti_load_package(str(path))

    def run(images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(package(images.contiguous()))

    return run


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.backends.Compile``; on the CPU and on CUDA.

    Raises:
        ValueError: If the precision is none of ``PRECISIONS``, or the part cannot be recorded or compiled.
    """
    check_supported(part, dtype, 'inductor', PRECISIONS, only_cpu=False)

    def start(program: ExportedProgram) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'part.pt2'
            write(program, part, path, {})
            run = open_with_runtime(path)
        return lambda images: run(images.to(dtype))

    return compile_recorded(part, dtype, start)
