"""Which HRNet a state dict is of, by its tensors' shapes."""

from __future__ import annotations

import re
from functools import lru_cache

import torch

from hrnet_plugins.archs import BlockName, HRNetArch, Stage
from hrnet_plugins.state_dicts import State

_ANCHOR = re.compile(r'(.*?)stage2\.\d+\.branches\.\d+\.\d+\..+')


def backbone_of(state: State) -> State:
    """The backbone's entries, under the backbone's own names, whatever prefix they have.

    Raises:
        ValueError: If there is no HRNet in it.
    """
    prefix = next((found[1] for key in state if (found := _ANCHOR.fullmatch(key))), None)
    if prefix is None:
        raise ValueError('the state dict holds no HRNet: it has no key like `stage2.0.branches.0.0.conv1.weight`')
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def arch_of(state: State) -> HRNetArch:
    """The architecture of the HRNet in a state dict, deduced by rule from its keys and shapes.

    Any width, depth and number of modules and branches is understood; names in front of the backbone's are
    skipped. A key here and there may be missing.

    Raises:
        ValueError: If there is no HRNet in it, or too little of one.
    """
    backbone = backbone_of(state)
    stages = [_stage(backbone, r'layer1\.(?P<block>\d+)\.', 'layer1')]
    for i in (2, 3, 4):
        pattern = rf'stage{i}\.(?P<module>\d+)\.branches\.(?P<branch>\d+)\.(?P<block>\d+)\.'
        stages.append(_stage(backbone, pattern, f'stage{i}'))
    return HRNetArch(tuple(stages))  # type: ignore[arg-type]


def _stage(backbone: State, pattern: str, name: str) -> Stage:
    found = [(match.groupdict(), key[match.end() :], key) for key in backbone if (match := re.match(pattern, key))]
    modules = 1 + max((int(index.get('module', 0)) for index, _, _ in found), default=0)
    blocks: dict[int, int] = {}
    channels: dict[int, int] = {}
    block: BlockName = 'BASIC'
    for index, rest, key in found:
        branch = int(index.get('branch', 0))
        blocks[branch] = max(blocks.get(branch, 0), int(index['block']) + 1)
        if rest in ('conv1.weight', 'bn1.weight', 'gn1.weight'):
            channels.setdefault(branch, backbone[key].shape[0])
        if rest.startswith('conv3.'):
            block = 'BOTTLENECK'
    branches = range(len(blocks))
    if not blocks or any(b not in blocks or b not in channels for b in branches):
        raise ValueError(f'the state dict holds no whole HRNet: branches of `{name}` are missing')
    return Stage(modules, tuple(blocks[b] for b in branches), tuple(channels[b] for b in branches), block)


def expected_parts(state: State) -> dict[str, State]:
    """The entries that backbone and classification neck should have, without data, by the prefix of their keys.

    Args:
        state: A state dict under OpenMMLab's names. A neck is expected if enough of one is there to tell its shape.

    Raises:
        ValueError: As ``arch_of``.
    """
    backbone = backbone_of(state)
    arch = arch_of(state)
    last = f'stage4.{arch.stages[3].modules - 1}.fuse_layers.'
    targets = {key.removeprefix(last).split('.')[0] for key in backbone if key.startswith(last)}
    finest_only = targets == {'0'} and len(backbone) == len(state)
    stem = backbone.get('conv1.weight')
    in_channels = 3 if stem is None else stem.shape[1]
    parts = {'backbone.': _empty_backbone(arch, in_channels, not finest_only, 'gn1.weight' in backbone)}
    mid = [state.get(f'neck.0.increase_layers.{i}.0.conv3.weight') for i in range(len(arch.channels))]
    final = state.get('neck.0.final_layer.conv.weight')
    if final is not None and 'neck.0.final_layer.bn.weight' in state and all(w is not None for w in mid):
        widths = tuple(w.shape[0] for w in mid if w is not None)
        parts['neck.0.'] = _empty_neck(arch.channels, final.shape[0], widths)
    return parts


@lru_cache(maxsize=8)
def _empty_backbone(arch: HRNetArch, in_channels: int, multiscale_output: bool, group_norm: bool) -> State:
    from hrnet_plugins.models.hrnet import HRNet  # noqa: PLC0415  (needs mmcv)

    norm_cfg = dict(type='GN', num_groups=1) if group_norm else None
    with torch.device('meta'):
        network = HRNet(arch, in_channels=in_channels, multiscale_output=multiscale_output, norm_cfg=norm_cfg)
    return dict(network.state_dict())


@lru_cache(maxsize=8)
def _empty_neck(in_channels: tuple[int, ...], out_channels: int, mid_channels: tuple[int, ...]) -> State:
    from hrnet_plugins.models.hr_fuse import HRFuseScales  # noqa: PLC0415  (needs mmcv)

    with torch.device('meta'):
        return dict(HRFuseScales(in_channels, out_channels, mid_channels=mid_channels).state_dict())
