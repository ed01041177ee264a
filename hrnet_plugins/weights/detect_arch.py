"""Which HRNet a state dict is of, found from its keys and the shapes of its tensors."""

from __future__ import annotations

import re

from hrnet_plugins.archs import BlockName, HRNetArch, Stage
from hrnet_plugins.state_dicts import State

_ANCHOR = re.compile(r'(.*?)stage2\.\d+\.branches\.\d+\.\d+\..+')
"""A key that every HRNet has, behind any prefix."""

MOST = 100
"""Modules of a stage and blocks of a branch; the published networks have up to 4."""
_MOST_BRANCHES = 8


def backbone_of(state: State) -> State:
    """The backbone's entries under the backbone's own names, whatever prefix they have.

    Raises:
        ValueError: If there is no HRNet in the state dict.
    """
    prefix = next((found[1] for key in state if (found := _ANCHOR.fullmatch(key))), None)
    if prefix is None:
        raise ValueError('the state dict holds no HRNet: it has no key like `stage2.0.branches.0.0.conv1.weight`')
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def arch_of(state: State) -> HRNetArch:
    """The architecture of the HRNet in a state dict, found from keys and shapes alone.

    Any width, depth and number of modules and branches is understood, and so is any prefix of the backbone's keys.
    Some keys may be missing.

    Raises:
        ValueError: If there is no HRNet in the state dict, or too little of one.
    """
    backbone = backbone_of(state)
    stages = [_stage(backbone, r'layer1\.(?P<block>\d{1,4})\.', 'layer1')]
    for i in (2, 3, 4):
        pattern = rf'stage{i}\.(?P<module>\d{{1,4}})\.branches\.(?P<branch>\d{{1,4}})\.(?P<block>\d{{1,4}})\.'
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
            if not backbone[key].dim():
                raise ValueError(f'`{key}` is a single number, which no layer of an HRNet has')
            channels.setdefault(branch, backbone[key].shape[0])
        if rest.startswith('conv3.'):
            block = 'BOTTLENECK'
    if modules > MOST or len(blocks) > _MOST_BRANCHES or any(count > MOST for count in blocks.values()):
        raise ValueError(
            f'the keys of `{name}` count {modules} modules, {len(blocks)} branches and up to {max(blocks.values())} '
            f'blocks: an HRNet has at most {MOST}, {_MOST_BRANCHES} and {MOST}'
        )
    branches = range(len(blocks))
    if not blocks or any(b not in blocks or b not in channels for b in branches):
        raise ValueError(f'the state dict holds no whole HRNet: branches of `{name}` are missing')
    return Stage(modules, tuple(blocks[b] for b in branches), tuple(channels[b] for b in branches), block)
