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


def mmdet1_names(names: dict[str, tuple[int, ...]], scale: tuple[int, ...] = ()) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a detector as mmdet before 2.0 wrote them, from those of mmdet's model of now.

    Args:
        names: Keys of mmdet's model, and the shapes.
        scale: The shape of FCOS's learnt scales.
    """
    old = {}
    for key, shape in names.items():
        new = re.sub(r'^bbox_head\.conv_(cls|reg|centerness)\.', r'bbox_head.fcos_\1.', key)
        new = new.removeprefix('roi_head.')
        masks = key.startswith('roi_head.mask_head.') and 'conv_logits' in key
        per_class = 1 if masks else 4 if '.bbox_head.fc_reg' in key else 0
        old[new] = (shape[0] + per_class, *shape[1:]) if per_class else shape
        if re.fullmatch(r'bbox_head\.scales\.\d+\.scale', key):
            old[new] = scale
        if key.startswith('roi_head.mask_head.1.conv_res.'):  # it made this layer for the first stage as well
            old[new.replace('mask_head.1.', 'mask_head.0.')] = shape
    return old


PADDLE_RELEASES = ('2.2', '2.0')
"""The first releases of PaddleClas with each of its two published sets of names."""


def paddle_names(width: int, release: str = '2.2') -> dict[str, tuple[int, ...]]:
    """Names and shapes as PaddleClas's ``HRNet`` makes them, written from its constructors."""
    keys = {}
    old = release == '2.0'
    conv_name, norm_name = ('_conv', '_batch_norm') if old else ('conv', 'bn')

    def layer(name, c_in, c_out, kernel):
        keys[f'{name}.{conv_name}.weight'] = (c_out, c_in, kernel, kernel)
        for entry in ('weight', 'bias', '_mean', '_variance'):
            keys[f'{name}.{norm_name}.{entry}'] = (c_out,)

    def bottleneck(name, c_in, c, down):
        for i, (a, b, k) in enumerate(((c_in, c, 1), (c, c, 3), (c, 4 * c, 1)), start=1):
            layer(f'{name}.conv{i}', a, b, k)
        if down:
            layer(f'{name}.conv_down', c_in, 4 * c, 1)

    layer('conv_layer1_1', 3, 64, 3)
    layer('conv_layer1_2', 64, 64, 3)
    for i in range(4):
        bottleneck(f'la1.bb_layer2_{i + 1}' if old else f'layer1.{i}', 64 if i == 0 else 256, 64, i == 0)
    widths = [width << i for i in range(4)]
    for new, number, place, c_in in (
        ('1_1', 1, 0, 256),
        ('1_2', 1, 1, 256),
        ('2', 2, 2, widths[1]),
        ('3', 3, 3, widths[2]),
    ):
        name = f'tr{number}.transition_tr{number}_layer_{place + 1}' if old else f'conv_tr{new}'
        layer(name, c_in, widths[place], 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for m in range(modules):
            part = f'st{stage}_{m + 1}'
            name = f'st{stage}.stage_{part}' if old else f'st{stage}.stage_func_list.{m}'
            for b in range(stage):
                for k in range(4):
                    block = f'{name}.basic_block_list.{b}.{k}'
                    if old:
                        block = f'{name}.branches_func.bb_{part}_branch_layer_{b + 1}_{k + 1}'
                    for conv in (1, 2):
                        layer(f'{block}.conv{conv}', widths[b], widths[b], 3)
            n = 0
            for i in range(stage):
                for j in range(stage):
                    steps = [widths[j]] * (i - j) + [widths[i]]
                    pairs = pairwise(steps) if j < i else [(widths[j], widths[i])] * (j > i)
                    for k, (a, b) in enumerate(pairs, start=1):
                        residual = f'residual_{part}_layer_{i + 1}_{j + 1}' + (f'_{k}' if j < i else '')
                        residual = residual if old else f'residual_func_list.{n}'
                        layer(f'{name}.fuse_func.{residual}', a, b, 3 if j < i else 1)
                        n += 1
    for i, c in enumerate((32, 64, 128, 256)):
        bottleneck(f'last_cls.{f"conv_cls_head_conv_{i + 1}" if old else f"func_list.{i}"}', widths[i], c, True)
    for i, c in enumerate((128, 256, 512)):
        layer(f'cls_head_add{i + 1}' if old else f'cls_head_conv_list.{i}', c, 2 * c, 3)
    layer('conv_last', 1024, 2048, 1)
    classifier = 'out' if old else 'fc'
    keys |= {f'{classifier}.weight': (2048, 1000), f'{classifier}.bias': (1000,)}
    return keys
