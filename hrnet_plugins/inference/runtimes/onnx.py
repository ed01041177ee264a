"""ONNX files, made by PyTorch's exporter, and ONNX Runtime, which checks the files and runs parts in process."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.export import ExportedProgram

from hrnet_plugins.inference.part import INPUT, Part, Run
from hrnet_plugins.inference.runtimes.traced import check_supported, compile_traced
from hrnet_plugins.inference.tracing import exporter, root_cause

SIZES = ('batch', 'height', 'width')


def write(program: ExportedProgram, part: Part, path: Path, facts: Mapping[str, str]) -> str:
    """Write a traced program as one ONNX file, weights included, and describe it.

    Raises:
        ValueError: If ONNX has no form for an operation of the program; the message has the cause.
    """
    names: dict[str, Any] = dict(input_names=[INPUT], output_names=list(part.outputs) or None)
    try:
        with exporter():
            torch.onnx.export(program, f=path, dynamo=True, verbose=False, external_data=False, **names)
    except Exception as error:
        raise ValueError(f'the model cannot be exported to ONNX: {root_cause(error)}') from error
    model = onnx.load(path)
    _name_sizes(model.graph)
    onnx.helper.set_model_props(model, dict(facts))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    (opset,) = (entry.version for entry in model.opset_import if entry.domain == '')
    return f'ONNX opset {opset}'


def open_with_runtime(path: Path) -> Run:
    """Open a file in ONNX Runtime, on the CPU."""
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(images: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(torch.from_numpy, session.run(None, {INPUT: images.contiguous().numpy()})))

    return run


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.runtimes.backends.Compile``. On the CPU, in float32 only, as its kernels.

    Raises:
        ValueError: If the precision or the device is another, or the part cannot be traced or has no ONNX form.
    """
    check_supported(part, dtype, 'onnxruntime', (torch.float32,), only_cpu=True)

    def start(program: ExportedProgram) -> Run:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'part.onnx'
            write(program, part, path, {})
            return open_with_runtime(path)

    return compile_traced(part, dtype, start)


def _name_sizes(graph: onnx.GraphProto) -> None:
    """Name the dynamic sizes batch, height and width, also inside the expressions of sizes that depend on them."""
    (image,) = graph.input
    symbols = (dim.dim_param for dim in image.type.tensor_type.shape.dim if dim.dim_param)
    names: dict[str, Any] = dict(zip(symbols, SIZES, strict=True))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r'\w+', lambda match: names.get(match[0], match[0]), dim.dim_param)
