"""OpenVINO on the CPU: its files, and parts run in process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openvino
import torch
from torch import Tensor
from torch.export import ExportedProgram

from hrnet_plugins.inference.part import INPUT, Part, Run
from hrnet_plugins.inference.runtimes.traced import check_supported, compile_traced
from hrnet_plugins.inference.tracing import exporter, root_cause
from hrnet_plugins.processor import is_faster_in_bf16

PRECISIONS = {torch.float32: 'f32', torch.bfloat16: 'bf16'}
"""The precisions by OpenVINO's names. One is always set: by default the CPU plugin uses bf16 where that is fast."""


def write(program: ExportedProgram, part: Part, path: Path, facts: Mapping[str, str]) -> str:
    """Write a traced program as an ``.xml`` file and its weights as the ``.bin`` file beside it.

    Raises:
        ValueError: If OpenVINO has no form for an operation of the program; the message has the cause.
    """
    model = _convert(program, part)
    for key, value in facts.items():
        model.set_rt_info(value, ['hrnet_plugins', key])
    openvino.save_model(model, path, compress_to_fp16=False)
    return f'OpenVINO IR of {openvino.__version__.partition("-")[0]}'


def open_with_runtime(path: Path) -> Run:
    """Open a file in OpenVINO, on the CPU, in float32."""
    return _start(openvino.Core().read_model(path), torch.float32)


def compile(part: Part, dtype: torch.dtype) -> Run:  # noqa: A001, every backend calls it so
    """See ``hrnet_plugins.inference.runtimes.backends.Compile``. On the CPU, with float32 outputs.

    A CPU without instructions for bfloat16 computes in float32.

    Raises:
        ValueError: If the precision is none of ``PRECISIONS``, the device is another, or the part cannot be traced or
            converted.
    """
    check_supported(part, dtype, 'openvino', PRECISIONS, only_cpu=True)
    inside = dtype if dtype == torch.float32 or is_faster_in_bf16() else torch.float32
    return compile_traced(part, torch.float32, lambda program: _start(_convert(program, part), inside))


def _convert(program: ExportedProgram, part: Part) -> openvino.Model:
    try:
        with exporter():
            model = openvino.convert_model(program)
    except Exception as error:
        raise ValueError(f'the model cannot be converted to OpenVINO: {root_cause(error)}') from error
    model.input(0).get_tensor().set_names({INPUT})
    for output, name in zip(model.outputs, part.outputs):
        output.get_tensor().set_names({name})
    return model


def _start(model: openvino.Model, dtype: torch.dtype) -> Run:
    options = {'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': PRECISIONS[dtype]}
    compiled = openvino.Core().compile_model(model, 'CPU', options)

    def run(images: Tensor) -> tuple[Tensor, ...]:
        results = compiled([images.float().contiguous().numpy()])
        return tuple(torch.from_numpy(results[i]) for i in range(len(results)))

    return run
