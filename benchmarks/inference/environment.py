"""Where a recording was made."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from pathlib import Path

import torch

PACKAGES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm', 'onnxruntime', 'openvino')
VARIABLES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'OMP_NUM_THREADS')


def environment(device: str) -> dict[str, object]:
    """Machine, versions, and the settings of the thread pools."""
    return dict(
        machine=torch.cuda.get_device_name() if device == 'cuda' else f'{_cpu()}, {torch.get_num_threads()} threads',
        python=platform.python_version(),
        versions={name: version for name in PACKAGES if (version := _version(name))},
        settings={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def _version(name: str) -> str | None:
    try:
        return str(importlib.import_module(name).__version__)
    except ImportError:
        return None


def commit_of(folder: Path) -> str:
    """The commit; ``-dirty`` after it if tracked files differ from it, other than what benchmarks write there."""
    commit = _git(folder, 'rev-parse', '--short', 'HEAD')
    written = [f':(exclude){name}' for name in ('README.md', 'speed.png', 'results*.json')]
    changed = _git(folder, 'status', '--porcelain', '--untracked-files=no', '--', ':/', *written)
    return f'{commit}-dirty' if changed else commit or 'unknown'


def _git(folder: Path, *arguments: str) -> str:
    command = ['git', '-C', folder, *arguments]
    return subprocess.run(command, capture_output=True, check=False).stdout.decode().strip()


def _cpu() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(': ')[1] for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()
