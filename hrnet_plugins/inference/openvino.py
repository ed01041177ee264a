"""OpenVINO on the CPU: its files, and models run in process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openvino
import torch
from torch import Tensor
from torch.export import ExportedProgram

from hrnet_plugins.inference.files import INPUT
from hrnet_plugins.inference.parts import Part
from hrnet_plugins.inference.patches import dynamic_shape_patches
from hrnet_plugins.inference.recorded import Run, check_supported, compile_recorded, reason

PRECISIONS = {torch.float32: 'f32', torch.bfloat16: 'bf16'}
"""What the operations compute in. Always said: by itself the CPU plugin takes bf16 where the machine is fast in it."""


def write(program: ExportedProgram, part: Part, path: Path, facts: Mapping[str, str]) -> str:
    """Write a recorded program as an ``.xml`` file and its weights as the ``.bin`` file beside it.

    Raises:
        ValueError: With the reason, if OpenVINO has no form for something in it.
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
    """See ``hrnet_plugins.inference.backends.Compile``; on the CPU, with float32 outputs.

    Raises:
        ValueError: If the precision is none of ``PRECISIONS``, the device is another, or the part cannot be recorded or
            converted.
    """
    check_supported(part, dtype, 'openvino', PRECISIONS, only_cpu=True)
    return compile_recorded(part, torch.float32, lambda program: _start(_convert(program, part), dtype))


def _convert(program: ExportedProgram, part: Part) -> openvino.Model:
    try:
        with dynamic_shape_patches():
            model = openvino.convert_model(program)
    except Exception as error:
        raise ValueError(f'the model cannot be converted to OpenVINO: {reason(error)}') from error
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
