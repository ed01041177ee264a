"""Parameters and arithmetic of every recipe's model, counted without data, for the model zoo.

python -m tools.model_costs        # count, and write docs/model-costs.json, which is `make costs`; minutes
"""

from __future__ import annotations

import json

import torch
from torch.utils.flop_counter import FlopCounterMode

from hrnet_plugins.recipes import framework_of, model_of, recipes
from tools.model_zoo import COSTS

SIZES = {'mmdet': (800, 1344), 'mmseg': (512, 1024), 'mmpretrain': (224, 224)}
"""Height and width of the image by framework: the common size of a COCO image in a batch, and two crops."""


def costs(name: str) -> dict[str, float | str]:
    """Millions of parameters, and multiply-adds of convolutions and linear layers in units of 10^9.

    Of a detector the arithmetic is that of backbone and neck: that of its heads depends on what they find.
    """
    path = recipes()[name]
    framework = framework_of(path)
    height, width = SIZES[framework]
    with torch.device('meta'):
        model = model_of(path).eval()
        image = torch.empty(1, 3, height, width)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.extract_feat(image) if framework == 'mmdet' else model(image, mode='tensor')
    return dict(
        parameters_m=round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
        gmacs=round(counter.get_total_flops() / 2e9, 1),
        size=f'{height}x{width}',
    )


def main() -> None:
    """Count all and write."""
    COSTS.write_text(json.dumps({name: costs(name) for name in recipes()}, indent=1) + '\n')


if __name__ == '__main__':
    main()
