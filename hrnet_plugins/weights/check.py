"""Check that a renamed state dict is a whole model: every entry that it should have, no other, and shapes that agree.

The table of its format says which keys a head has. For the backbone and the classification neck our own modules say
it, built without data for the architecture found in the state dict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import torch

from hrnet_plugins.archs import HRNetArch
from hrnet_plugins.state_dicts import State, is_counter, key_problems, shape_problems
from hrnet_plugins.weights.detect_arch import arch_of, backbone_of
from hrnet_plugins.weights.entry_rules import dimension_problems, length_problems, value_problems
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.values import batch_norms
from hrnet_plugins.weights.head_rules import head_problems

_LARGE = re.compile(r'\.\d{4,}\.')
"""A number in a key that counts more layers of a kind than any model has."""
_FOLDED = '.conv.bias'
"""End of the keys of biases that a change of values will remove: no module of ours has them."""


def check_whole(state: State, fmt: Format, *, names: Mapping[str, str], unknown: Sequence[str]) -> None:
    """Check a state dict after renaming, and before its values change.

    Args:
        state: The file's entries, with the file's keys.
        fmt: The format of the file.
        names: OpenMMLab's key by the file's key.
        unknown: Keys of the file that the format's table does not have.

    Raises:
        ValueError: Listing, with the file's own names, all keys that are missing or unknown, all shapes that
            contradict each other, and all values that no trained model has.
    """
    renamed = {new: state[old] for old, new in names.items()}
    old_names = {new: old for old, new in names.items()}

    def old_name(key: str) -> str:
        return old_names.get(key) or fmt.source_key(key, state)

    try:
        arch_of(renamed)
    except ValueError as error:  # too little is known by name
        listed = key_problems({'unknown keys': unknown})
        raise ValueError('\n'.join([f'{error}. It was taken for {fmt.name} ({fmt.title})', *listed])) from None
    missing_heads = fmt.missing_keys(state, len(arch_of(renamed).stages[3].channels))
    parts = expected_parts(renamed)
    expected = {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
    found = {k: v for k, v in renamed.items() if k.startswith(tuple(parts)) and not k.endswith(_FOLDED)}
    missing_parts = [old_name(key) for key in expected if key not in found and not is_counter(key)]
    missing = [*missing_heads, *missing_parts, *map(old_name, _missing_of_batch_norms(renamed))]
    unknown = [*unknown, *(old_name(key) for key in found if key not in expected)]
    unknown += [old_name(key) for key in renamed if key not in found and _LARGE.search(key)]

    problems = key_problems({'unknown keys': unknown, 'missing keys': list(dict.fromkeys(missing))})
    wrong = shape_problems(found, expected, old_name)
    if wrong:
        problems.append(f'shapes that contradict each other ({len(wrong)}): {"; ".join(wrong)}')
    problems += _first([*dimension_problems(renamed, old_name), *value_problems(renamed, old_name)])
    if problems:
        raise ValueError(
            f'the state dict is not a whole {fmt.name} one ({fmt.title}); name its format if it is another, or '
            'repair the file:\n' + '\n'.join(problems)
        )


def check_consistent(state: State) -> None:
    """Check, once the values are OpenMMLab's, that layers fit each other and that all heads have the same classes.

    Args:
        state: A whole model's entries, under OpenMMLab's keys.

    Raises:
        ValueError: Listing what contradicts what.
    """
    problems = [*length_problems(state), *head_problems(state), *_inputs_from_backbone(state)]
    if problems:
        raise ValueError('the state dict contradicts itself:\n' + '\n'.join(_first(problems)))


_AFTER_BACKBONE = re.compile(
    r'neck\.reduction_conv\.conv\.weight|(decode|auxiliary)_head(\.\d+)?\.convs\.0\.conv\.weight|decode_head\.\d+\.bottleneck\.conv\.weight'
)
"""Convolutions that take some of the backbone's maps, concatenated."""


def _inputs_from_backbone(state: State) -> list[str]:
    channels = arch_of(state).channels
    possible = {sum(some) for n in range(1, len(channels) + 1) for some in combinations(channels, n)}
    return [
        f'{key}: the channels of some of the branches {channels} expected as inputs, found {value.shape[1]}'
        for key, value in state.items()
        if _AFTER_BACKBONE.fullmatch(key) and value.shape[1] not in possible
    ]


_LISTED = 50


def _first(problems: Sequence[str]) -> list[str]:
    """As many lines as anybody reads."""
    more = [f'and {len(problems) - _LISTED} more'] if len(problems) > _LISTED else []
    return [*problems[:_LISTED], *more]


def _missing_of_batch_norms(state: State) -> list[str]:
    """Entries that a batch norm lacks although it has a ``running_mean``."""
    entries = ('weight', 'bias', 'running_var')
    keys = (f'{name}.{entry}' for name in batch_norms(state) for entry in entries)
    return [key for key in keys if key not in state]


def expected_parts(state: State) -> dict[str, State]:
    """The entries that backbone and classification neck should have, without data, by the prefix of their keys.

    Args:
        state: A state dict with OpenMMLab's keys. A neck is expected if there is enough of one to know its shape.

    Raises:
        ValueError: As ``arch_of``.
    """
    backbone = backbone_of(state)
    arch = arch_of(state)
    last = f'stage4.{arch.stages[3].modules - 1}.fuse_layers.'
    targets = {key.removeprefix(last).split('.')[0] for key in backbone if key.startswith(last)}
    finest_only = targets == {'0'} and len(backbone) == len(state)
    stem = backbone.get('conv1.weight')
    in_channels = 3 if stem is None or stem.dim() != 4 else stem.shape[1]
    parts = {'backbone.': _empty_backbone(arch, in_channels, not finest_only, 'gn1.weight' in backbone)}
    mid = [state.get(f'neck.0.increase_layers.{i}.0.conv3.weight') for i in range(len(arch.channels))]
    final = state.get('neck.0.final_layer.conv.weight')
    whole = [w for w in (final, *mid) if w is not None and w.dim() == 4]
    if final is not None and 'neck.0.final_layer.bn.weight' in state and len(whole) == len(mid) + 1:
        widths = tuple(w.shape[0] for w in whole[1:])
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
