"""mmdet's own benchmark tool on Faster R-CNN with W18, which needs a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import mmdet
import torch
from mmengine.config import Config

from benchmarks.inference.networks import settle, upstream_backbone
from benchmarks.inference.systems import UPSTREAM
from hrnet_plugins.recipes import model_of
from projects.digits.data import build

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / 'projects' / 'digits' / 'faster-rcnn_hrnetv2p-w18_3e_digits.py'
TOOL = Path(mmdet.__file__).parent / '.mim' / 'tools' / 'analysis_tools' / 'benchmark.py'
VARIANTS = (f'{UPSTREAM.name} fp32', 'ours, plain fp32', *(f'ours, accelerated {d}' for d in ('fp32', 'bf16', 'fp16')))
"""Keys as of the systems; upstream's is the same model with mmdet's HRNet and HRFPN."""


def milliseconds(images: int = 200) -> dict[str, float]:
    """Milliseconds an image of each variant, as the tool prints them, on the digits scenes at 800x800."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder / 'data' / 'digits')
        model = model_of(RECIPE)
        settle(model.backbone)
        checkpoint = folder / 'model.pth'
        torch.save(dict(state_dict=model.state_dict()), checkpoint)
        return {key: _run(write_config(folder, key), checkpoint, images) for key in VARIANTS}


def write_config(folder: Path, key: str) -> Path:
    """The config of a variant."""
    config = Config.fromfile(RECIPE)
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (1333, 800)
    if key.startswith(UPSTREAM.name):
        config.model.backbone = upstream_backbone('w18', 'mmdet')
        config.model.neck.type = 'mmdet.HRFPN'
    elif key.startswith('ours, accelerated'):
        config.model.update(type='hrnet_plugins.Accelerated', plain=config.model.type, dtype=key.rpartition(' ')[2])
    path = folder / f'{re.sub(r"[^a-z0-9]+", "-", key)}.py'
    config.dump(path)
    return path


def read_milliseconds(text: str) -> float:
    """The tool's last word.

    Raises:
        ValueError: If it did not come to it.
    """
    found = re.findall(r'Overall fps:.*times per image: ([\d.]+) ms/img', text)
    if not found:
        raise ValueError(f"mmdet's benchmark tool printed no speed; its last words: {text[-500:]}")
    return float(found[-1])


def _run(config: Path, checkpoint: Path, images: int) -> float:
    command = [
        sys.executable, TOOL, config, '--checkpoint', checkpoint, '--task', 'inference', '--max-iter', str(images),
        '--work-dir', config.parent / 'work',
    ]  # fmt: skip
    done = subprocess.run(command, check=False, cwd=config.parent, capture_output=True, text=True)
    return read_milliseconds(done.stdout + done.stderr)
