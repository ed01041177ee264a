"""Convert state dicts between formats, strictly: an unknown or missing key is an error that lists all of them.

A conversion always goes by way of OpenMMLab's names: rename and check, change the values, and for another target
change the values back and rename again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

import torch

from hrnet_plugins.state_dicts import State, key_problems
from hrnet_plugins.weights.check import check_consistent, check_whole
from hrnet_plugins.weights.detect_arch import arch_of
from hrnet_plugins.weights.formats import FORMATS
from hrnet_plugins.weights.formats.openmmlab import OPENMMLAB
from hrnet_plugins.weights.formats.spec import Effect, Format
from hrnet_plugins.weights.recognition import notes_on, recognised, without_prefix
from hrnet_plugins.weights.report import Report

VERSION = 2
"""Version of the conversion: to be raised whenever some file converts to other names or values than before, so that
what the cache has of earlier versions is not used."""


def convert(state: State, source: str | None = None, target: str = OPENMMLAB.name) -> tuple[State, Report]:
    """Convert a state dict to another format's names and values. The function that the model computes stays the same.

    Args:
        state: The state dict, which is not changed.
        source: Its format; ``None`` recognises it.
        target: The format to convert to.

    Returns:
        The converted state dict, and a report of what was done.

    Raises:
        ValueError: If a format is unknown or cannot be written, keys are unknown or missing (all are listed), or the
            entries are not those of a trained model.
    """
    bare = without_prefix(state)
    fmt = _format('source', source) if source else recognised(bare)
    goal = _writable(target)
    changed: dict[Effect, list[str]] = {effect: [] for effect in get_args(Effect)}

    names, dropped = _names_to_openmmlab(bare, fmt)
    converted = {new: bare[old] for old, new in names.items()}
    for change in fmt.changes:
        changed[change.effect] += change.apply(converted)
    check_consistent(converted)

    final = {key: key for key in converted}
    added: list[str] = []
    if goal is not OPENMMLAB:
        for change in goal.changes:
            if change.undo is not None:
                changed[change.effect] += change.undo(converted)
        final, added = _names_from_openmmlab(converted, goal, fmt)
    result = {new: converted[key] for key, new in final.items()}
    result |= _zero_biases(result, added)

    given = dict(zip(bare, state))  # the caller's keys, with their prefix
    pairs = ((given[old], final[new]) for old, new in names.items() if new in final)  # folding removes entries
    report = Report(
        source=fmt.name,
        target=goal.name,
        renamed=tuple((old, new) for old, new in pairs if old != new),
        folded=tuple(changed['folded']),
        reshaped=tuple(changed['reshaped']),
        reordered=tuple(changed['reordered']),
        made_absolute=tuple(changed['made_absolute']),
        dropped=tuple(given[key] for key in dropped),
        added=tuple(added),
        notes=tuple(notes_on(bare, fmt, named=source is not None)),
    )
    return result, report


def _format(argument: str, name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f'`{argument}` ({name!r}) is no known format; known: {", ".join(FORMATS)}')
    return FORMATS[name]


def _writable(target: str) -> Format:
    goal = _format('target', target)
    if not goal.writable:
        known = ', '.join(name for name, other in FORMATS.items() if other.writable)
        raise ValueError(f'`target` ({target!r}) is a format that can only be read; known to write: {known}')
    return goal


def _names_to_openmmlab(state: State, fmt: Format) -> tuple[dict[str, str], list[str]]:
    """OpenMMLab's key for each of the file's, and the keys that are dropped, once the file is known to be whole."""
    names, dropped, unknown = _rename(state, fmt)
    _refuse_doubles(names.values())
    check_whole(state, fmt, names=names, unknown=unknown)
    return names, dropped


def _rename(keys: Iterable[str], fmt: Format) -> tuple[dict[str, str], list[str], list[str]]:
    """What the format's table says of each key: OpenMMLab's name for it, dropped, or unknown."""
    names: dict[str, str] = {}
    dropped, unknown = [], []
    for key in keys:
        found = fmt.find_source(key)
        if found is None:
            unknown.append(key)
            continue
        row, bindings = found
        if row.target_template is None:
            dropped.append(key)
        else:
            names[key] = row.target_template.fill(bindings)
    return names, dropped, unknown


def _refuse_doubles(names: Iterable[str]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ValueError(f'the state dict has the same entries under two names: {", ".join(doubled)}')


def _names_from_openmmlab(state: State, goal: Format, fmt: Format) -> tuple[dict[str, str], list[str]]:
    """The target's key for each of OpenMMLab's, and the biases that the target has in addition."""
    names, unknown = _rename_back(state, goal)
    present = set(names.values())
    missing = goal.missing_keys(present, len(arch_of(state).stages[3].channels), writing=True)
    biases = [key for key in missing if key.endswith('.bias') and _weight_of(key) in present]
    missing = [key for key in missing if key not in biases]
    problems = key_problems({'keys it has no place for': unknown, 'keys it needs and are not there': missing})
    if problems:
        raise ValueError(f'{goal.name} ({goal.title}) cannot hold this {fmt.name} model:\n' + '\n'.join(problems))
    return names, biases


def _rename_back(keys: Iterable[str], goal: Format) -> tuple[dict[str, str], list[str]]:
    """The target's name for each of OpenMMLab's keys, and the keys that it has no name for."""
    names: dict[str, str] = {}
    unknown = []
    for key in keys:
        found = goal.find_target(key)
        if found is None:
            unknown.append(key)
        else:
            row, bindings = found
            names[key] = row.source_template.fill(bindings)
    return names, unknown


def _zero_biases(state: State, keys: Sequence[str]) -> State:
    """Biases of zero, each as long as its layer's weight has outputs."""
    weights = {key: state[_weight_of(key)] for key in keys}
    return {key: torch.zeros(weight.shape[0], dtype=weight.dtype) for key, weight in weights.items()}


def _weight_of(bias: str) -> str:
    return bias.removesuffix('bias') + 'weight'
