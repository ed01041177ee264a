"""Inductor, PyTorch's compiler, used ahead of time: its packages, and parts run in process from a package."""

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

from hrnet_plugins.inference.part import Part, Run
from hrnet_plugins.inference.runtimes.traced import check_supported, compile_traced
from hrnet_plugins.inference.tracing import exporter, root_cause

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)


def write(program: ExportedProgram, part: Part, path: Path, facts: Mapping[str, str]) -> str:
    """Compile a traced program into one package, weights included, for this kind of machine. It takes minutes.

    Raises:
        ValueError: If there is no C++ compiler, or Inductor cannot compile the program; the message has the cause.
    """
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler as error:
        raise ValueError(f'Inductor needs a C++ compiler: install g++, or name one in CXX ({error})') from None
    options = {'freezing': True, 'aot_inductor.metadata': dict(facts)}  # freezing: weights in oneDNN's own layouts
    try:
        with torch.no_grad(), exporter():
            aoti_compile_and_package(program, package_path=str(path), inductor_configs=options)
    except Exception as error:
        raise ValueError(f'the model cannot be compiled by Inductor: {root_cause(error)}') from error
    return f'AOTInductor package of PyTorch {torch.__version__}'


def open_with_runtime(path: Path) -> Run:
    """Open a package, on the device it was compiled for. It takes images in the precision it was compiled in."""
    package = aoti_load_package(str(path))

    def run(images: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return tuple(package(images.contiguous()))

    return run


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.runtimes.backends.Compile``. On the CPU and on CUDA.

    Raises:
        ValueError: If the precision is none of ``PRECISIONS``, or the part cannot be traced or compiled.
    """
    check_supported(part, dtype, 'inductor', PRECISIONS, only_cpu=False)

    def start(program: ExportedProgram) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'part.pt2'
            write(program, part, path, {})
            run = open_with_runtime(path)
        return lambda images: run(images.to(dtype))

    return compile_traced(part, dtype, start)
