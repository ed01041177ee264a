"""Where a recording was made."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from hrnet_plugins import environment as here
from hrnet_plugins.processor import cpu_name

PACKAGES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'onnxruntime', 'openvino')
VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'OMP_NUM_THREADS', 'ONEDNN_MAX_CPU_ISA', 'ATEN_CPU_CAPABILITY')
WRITTEN = ('README.md', 'speed.png', 'results*.json')
"""What benchmarks write in their folder."""


def environment(device: str) -> dict[str, object]:
    """Machine, versions, and the settings of the thread pools."""
    cpu = f'{cpu_name()}, {torch.get_num_threads()} threads'
    return dict(
        machine=torch.cuda.get_device_name() if device == 'cuda' else cpu,
        python=platform.python_version(),
        versions=here.versions(PACKAGES),
        settings={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def commit_of(folder: Path) -> str:
    """The commit; ``-dirty`` after it if tracked files differ from it, other than what benchmarks write there."""
    return here.commit_of(folder, written=WRITTEN)
