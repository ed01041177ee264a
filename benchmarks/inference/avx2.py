"""Measuring as on a processor that has AVX2 and nothing wider, as most desktops do."""

from __future__ import annotations

import os
import sys

from benchmarks.inference.systems import SYSTEMS, System

HIDDEN = dict(ONEDNN_MAX_CPU_ISA='AVX2', ATEN_CPU_CAPABILITY='avx2')
"""Environment variables that hide wider instructions from torch, from oneDNN, and from OpenVINO, which has it too."""
OBEDIENT: tuple[System, ...] = tuple(
    system
    for system in SYSTEMS
    if system.dtype == 'fp32' and not system.compiles and 'onnxruntime' not in system.packages
)
"""The systems that see nothing of those. ONNX Runtime and compilers ask the processor itself; bf16 needs AVX512."""


def hide() -> None:
    """Begin this program anew with the wider instructions hidden, unless they are: libraries look when they load."""
    if HIDDEN.items() <= os.environ.items():
        return
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**os.environ, **HIDDEN})  # noqa: S606, this program itself
