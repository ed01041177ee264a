"""The README's table of why: each number from the file in which it was recorded."""

from __future__ import annotations

import json
from pathlib import Path

from hrnet_plugins.metafiles import published
from hrnet_plugins.weights.catalog import CATALOG
from tools.recipe_tables import markdown

ROOT = Path(__file__).parents[1]
INFERENCE = 'benchmarks/inference/results-cpu.json'
OCR = 'benchmarks/ocr_head/results.json'
TRAINING = 'benchmarks/training/results-cpu.json'
DIGITS = 'projects/digits/recorded/detection/metrics.json'
PARITY = 'tests/parity/test_dropin.py'
LABELS = {INFERENCE: 'inference', OCR: 'ocr', TRAINING: 'training', DIGITS: 'digits', PARITY: 'parity'}
"""Under which the README defines the links, whose lines would be long otherwise."""
_CASE = 'pyramid w18 512x512 batch 1'
_TRAINING_CASE = 'pyramid w18 512x512 batch 2 fixed'
_OCR_CASE = '1024x2048, 19 classes / both / train'


def why_table(up: str = '') -> str:
    """The table.

    Args:
        up: The way from the page to the root of the checkout, such as ``../``; empty for the README.
    """

    def link(text: str, path: str) -> str:
        return f'[{text}]({up}{path})' if up else f'[{text}][{LABELS[path]}]'

    inference = _read(INFERENCE)
    systems = inference['cases'][_CASE]['systems']
    upstream = systems["upstream's HRNet fp32"]
    fp32, bf16 = (systems[f'ours, accelerated {dtype}'] for dtype in ('fp32', 'bf16'))
    ours, theirs = (_read(OCR)['results'][f'{_OCR_CASE} / {name}'] for name in ('hrnet_plugins', 'mmseg'))
    training = _read(TRAINING)
    steps = training['cases'][_TRAINING_CASE]['systems']
    step, all_of_it = steps['ours, channels_last fp32'], steps["upstream's HRNet fp32"]
    of_all = {key: f'{step[key] / all_of_it[key]:.2f}' for key in ('ms', 'saved_mb')}
    with_amp = f'{steps["ours, channels_last bf16"]["saved_mb"] / all_of_it["saved_mb"]:.2f}'
    digits = _read(DIGITS)
    speeds = [f'{upstream["ms"] / fast["ms"]:.1f}x' for fast in (fp32, bf16)]
    time, memory = (f'{ours[key] / theirs[key]:.2f}' for key in ('ms', 'peak_mib'))
    rows = [
        [
            "the numbers of mmdet's HRNet and HRFPN",
            f'difference {upstream["error"]:.0g}; accelerated {fp32["error"]:.0e} of the greatest',
            link('recorded', INFERENCE),
        ],
        [
            f'inference, W18, {inference["machine"]}',
            f"{speeds[0]} mmdet's speed in float32, {speeds[1]} in bfloat16",
            link('recorded', INFERENCE),
        ],
        [
            f'a training step, W18, {training["machine"].replace("(R)", "").replace(" Processor", "")}',
            f"{of_all['ms']} of mmdet's time with `channels_last`",
            link('recorded', TRAINING),
        ],
        [
            'what it keeps for backward',
            f"{of_all['saved_mb']} of mmdet's memory, {with_amp} with `--amp`",
            link('recorded', TRAINING),
        ],
        [
            'a training step of the OCR heads, 1024x2048',
            f"{time} of mmsegmentation's time, {memory} of its memory",
            link('recorded', OCR),
        ],
        ['image sides', "any; mmdet's must be 29 to 32 modulo 32", link('test', PARITY)],
        [
            'recipes and named weights',
            f'{len(published())} and {len(CATALOG)}; every published row and file',
            '[model zoo](model-zoo.md)' if up else '[model zoo](docs/model-zoo.md)',
        ],
        [
            '`make demo`, from scratch without a GPU',
            f'box mAP {digits["coco/bbox_mAP"]:.3f} after {digits["training_cpu_minutes"]:.1f} minutes of one core',
            link('recorded', DIGITS),
        ],
    ]
    return markdown(['what', 'how much', 'from'], rows)


def _read(path: str) -> dict:
    return json.loads((ROOT / path).read_text(encoding='utf-8'))
