"""State dicts with the names of published files, and what tests of conversions ask of them."""

from __future__ import annotations

import re
from itertools import pairwise

import torch
from torch import Tensor, nn

from hrnet_plugins import HRNetArch, Stage
from tests.helpers.networks import filled, reference

REFERENCES = {
    'cls_w18': 'official-cls',
    'cls_w18_small_v1': 'official-cls',
    'seg_w18_20': 'official-seg',
    'seg_ocr_w18_19': 'official-seg',
    'fcos_w18_5l': 'official-fcos',
    'det_w18': 'official-det',
}
"""Format of each stored case that has a network."""

CUSTOM = HRNetArch(
    (
        Stage(1, (2,), (8,)),
        Stage(2, (1, 3), (4, 10), 'BOTTLENECK'),
        Stage(1, (1, 1, 2), (6, 8, 16)),
        Stage(3, (1, 1, 1, 2, 1), (4, 8, 12, 20, 24)),
    )
)
"""An architecture that differs from every published one in all that may differ."""


def stored(name: str) -> dict[str, Tensor]:
    """The state dict of a stored case, with the official names."""
    return filled(dict(reference(name)[0]['keys']))


def names_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Keys of a module's state dict, and the shapes."""
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """The same keys and exactly the same values."""
    assert a.keys() == b.keys()
    for key, value in b.items():
        assert torch.equal(a[key], value), key


def without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict as PyTorch wrote it before 0.4.1."""
    return {key: value for key, value in state.items() if not key.endswith('num_batches_tracked')}


def official_detector(model: nn.Module, neck: bool = True) -> dict[str, Tensor]:
    """A state dict as HRNet-Object-Detection names it, background first, made from the names of mmdet's model.

    Without ``neck`` it is named as mmdet before 2.0 does.
    """
    keys = {}
    for key, shape in names_of(model).items():
        new = key.removeprefix('roi_head.')
        if neck:
            new = new.replace('neck.reduction_conv.conv', 'neck.reduction_conv.0')
            new = re.sub(r'neck\.fpn_convs\.(\d+)\.conv', r'neck.fpn_conv.\1', new)
        per_class = 1 if 'conv_logits' in key else 4 if 'bbox_head.fc_reg' in key else 0
        keys[new] = (shape[0] + per_class, *shape[1:]) if per_class else shape
    return filled(keys)


def paddle_names(width: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes as PaddleClas's ``HRNet`` makes them, written from its constructors."""
    keys = {}

    def layer(name, c_in, c_out, kernel):
        keys[f'{name}._conv.weight'] = (c_out, c_in, kernel, kernel)
        for entry in ('weight', 'bias', '_mean', '_variance'):
            keys[f'{name}._batch_norm.{entry}'] = (c_out,)

    def bottleneck(name, c_in, c, down):
        for i, (a, b, k) in enumerate(((c_in, c, 1), (c, c, 3), (c, 4 * c, 1)), start=1):
            layer(f'{name}.conv{i}', a, b, k)
        if down:
            layer(f'{name}.conv_down', c_in, 4 * c, 1)

    layer('conv_layer1_1', 3, 64, 3)
    layer('conv_layer1_2', 64, 64, 3)
    for i in range(4):
        bottleneck(f'layer1.{i}', 64 if i == 0 else 256, 64, i == 0)
    widths = [width << i for i in range(4)]
    layer('tr1_1', 256, widths[0], 3)
    layer('tr1_2', 256, widths[1], 3)
    layer('tr2', widths[1], widths[2], 3)
    layer('tr3', widths[2], widths[3], 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for m in range(modules):
            name = f'st{stage}.stage_func_list.{m}'
            for b in range(stage):
                for k in range(4):
                    for conv in (1, 2):
                        layer(f'{name}.basic_block_list.{b}.{k}.conv{conv}', widths[b], widths[b], 3)
            n = 0
            for i in range(stage):
                for j in range(stage):
                    steps = [widths[j]] * (i - j) + [widths[i]]
                    for a, b in pairwise(steps) if j < i else [(widths[j], widths[i])] * (j > i):
                        layer(f'{name}.fuse_func.residual_func_list.{n}', a, b, 3 if j < i else 1)
                        n += 1
    for i, c in enumerate((32, 64, 128, 256)):
        bottleneck(f'last_cls.func_list.{i}', widths[i], c, True)
    for i, c in enumerate((128, 256, 512)):
        layer(f'cls_head_conv_list.{i}', c, 2 * c, 3)
    layer('conv_last', 1024, 2048, 1)
    keys |= {'out.weight': (2048, 1000), 'out.bias': (1000,)}
    return keys
