"""Convert state dicts between formats, strictly: an unknown or missing key is an error that lists all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch

from hrnet_plugins.state_dicts import State, is_counter, shape_problems
from hrnet_plugins.weights.detect_arch import arch_of, expected_parts
from hrnet_plugins.weights.formats import FORMATS
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.values import batch_norms
from hrnet_plugins.weights.report import Report

CANONICAL = 'openmmlab'
_PREFIXES = ('module.', 'model.')  # of DataParallel, and of the official segmentation code's FullModel
_LOSS = 'loss.'


def recognise(state: State) -> str:
    """The name of the format that a state dict is in.

    Files of timm have the names of the official classification files and are recognised as those; the result of a
    conversion is the same. Segmentation files count as trained on InPlaceABN when no batch norm has a
    ``num_batches_tracked`` (PyTorch's own has had one since 0.4.1) and some weight is negative (otherwise the
    two readings differ by 1e-5 in the weights); ``convert`` reports it.

    Raises:
        ValueError: If no format fits.
    """
    return _recognise(_without_prefix(state))


def convert(state: State, source: str | None = None, target: str = CANONICAL) -> tuple[State, Report]:
    """Convert a state dict to another format's names and values; the function it computes stays the same.

    Args:
        state: The state dict, which is left as it is.
        source: Its format; ``None`` recognises it.
        target: The format to convert to.

    Returns:
        The converted state dict and a report of what was done.

    Raises:
        ValueError: If a format is unknown or cannot be written, or keys are unknown or missing: all are listed.
    """
    bare = _without_prefix(state)
    fmt = _format('source', source or _recognise(bare))
    goal = _format('target', target)
    if not goal.writable:
        known = ', '.join(name for name, other in FORMATS.items() if other.writable)
        raise ValueError(f'`target` ({target!r}) is a format that can only be read; known to write: {known}')
    done: dict[str, list[str]] = {}
    names, dropped = _to_canonical(bare, fmt)
    converted = {new: bare[old] for old, new in names.items()}
    for change in fmt.changes:
        done.setdefault(change.word, []).extend(change.forward(converted))
    added: list[str] = []
    final = {key: key for key in converted}
    if target != CANONICAL:
        for change in goal.changes:
            if change.backward is not None:
                done.setdefault(change.word, []).extend(change.backward(converted))
        final, added = _from_canonical(converted, goal, fmt)
    prefixed = dict(zip(bare, state))
    report = Report(
        source=fmt.name,
        target=target,
        renamed=tuple(
            (prefixed[old], final[new]) for old, new in names.items() if new in final and prefixed[old] != final[new]
        ),
        folded=tuple(done.get('folded', ())),
        reshaped=tuple(done.get('reshaped', ())),
        reordered=tuple(done.get('reordered', ())),
        made_absolute=tuple(done.get('made absolute', ())),
        dropped=tuple(prefixed[key] for key in dropped),
        added=tuple(added),
        notes=tuple(_notes(bare, fmt, named=source is not None)),
    )
    result = {new: converted[key] for key, new in final.items()}
    for key in added:
        weight = result[key.removesuffix('bias') + 'weight']
        result[key] = torch.zeros(weight.shape[0], dtype=weight.dtype)
    return result, report


def _without_prefix(state: State) -> State:
    """The state dict without ``module.`` and ``model.`` in front of every key; entries keep their order."""
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state) and all(key.startswith((prefix, _LOSS)) for key in state):
            return _without_prefix({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def _format(argument: str, name: str) -> Format:
    if name not in FORMATS:
        raise ValueError(f'`{argument}` ({name!r}) is no known format; known: {", ".join(FORMATS)}')
    return FORMATS[name]


def _recognise(state: State) -> str:
    for fmt in FORMATS.values():
        if fmt.marked(state):
            return 'official-seg-abn' if fmt.name == 'official-seg' and _looks_like_abn(state) else fmt.name
    first = ', '.join(list(state)[:3]) or 'none'
    raise ValueError(
        f'the state dict is in no known format (its first keys: {first}); known: {", ".join(FORMATS)}. Is it an HRNet?'
    )


def _looks_like_abn(state: State) -> bool:
    return not any(map(is_counter, state)) and _negative(state) > 0


def _negative(state: State) -> int:
    """Batch norms with a negative weight."""
    weights = (state.get(f'{name}.weight') for name in batch_norms(state))
    return sum(bool((weight < 0).any()) for weight in weights if weight is not None)


def _notes(state: State, fmt: Format, *, named: bool) -> Iterable[str]:
    if fmt.name == 'official-seg-abn' and not named:
        yield (
            f'taken for InPlaceABN, as no batch norm has num_batches_tracked and {_negative(state)} of '
            f'{len(batch_norms(state))} have negative weights: weights became |weight| + 1e-5. If the file was '
            "trained on PyTorch's own batch norm, name the format official-seg"
        )
    if fmt.name == 'official-seg' and named and _looks_like_abn(state):
        yield 'looks like a file trained on InPlaceABN (*_torch04): its format would be official-seg-abn'


def _to_canonical(state: State, fmt: Format) -> tuple[dict[str, str], list[str]]:
    """OpenMMLab's key for each of the format's own, and the keys that are dropped."""
    names: dict[str, str] = {}
    dropped, unknown = [], []
    for key in state:
        found = fmt.find(key)
        if found is None:
            unknown.append(key)
        elif found[0].new is None:
            dropped.append(key)
        else:
            names[key] = found[0].new.fill(found[1])
    doubled = [new for new, count in Counter(names.values()).items() if count > 1]
    if doubled:
        raise ValueError(f'the state dict has the same entries under two names: {", ".join(doubled)}')
    canonical = {new: state[old] for old, new in names.items()}
    back = {new: old for old, new in names.items()}
    missing = fmt.missing(state, len(arch_of(canonical).stages[3].channels))
    expected = expected_parts(canonical)
    whole = {prefix + key: value for prefix, part in expected.items() for key, value in part.items()}
    parts = {key: value for key, value in canonical.items() if key.startswith(tuple(expected))}
    parts = {key: value for key, value in parts.items() if not key.endswith('.conv.bias')}  # folded later
    old_names = {key: back.get(key) or fmt.source_name(key, state) for key in {**whole, **parts}}
    missing += [old_names[key] for key in whole if key not in parts and not is_counter(key)]
    unknown += [old_names[key] for key in parts if key not in whole]
    for name in batch_norms(canonical):
        keys = (f'{name}.{entry}' for entry in ('weight', 'bias', 'running_var'))
        missing += [fmt.source_name(key, state) for key in keys if key not in canonical]
    problems = [
        f'{word} ({len(keys)}): {", ".join(keys)}'
        for word, keys in (('unknown keys', unknown), ('missing keys', list(dict.fromkeys(missing))))
        if keys
    ]
    wrong = shape_problems(parts, whole, lambda key: old_names[key])
    if wrong:
        problems.append(f'shapes that contradict each other ({len(wrong)}): {"; ".join(wrong)}')
    if problems:
        raise ValueError(
            f'the state dict is not a whole {fmt.name} one ({fmt.title}); name its format if it is another, or '
            'repair the file:\n' + '\n'.join(problems)
        )
    return names, dropped


def _from_canonical(state: State, goal: Format, fmt: Format) -> tuple[dict[str, str], list[str]]:
    """The target's key for each of OpenMMLab's, and the biases that it has on top."""
    names: dict[str, str] = {}
    unknown = []
    for key in state:
        found = goal.find_back(key)
        if found is None:
            unknown.append(key)
        else:
            names[key] = found[0].old.fill(found[1])
    present = set(names.values())
    missing = goal.missing(present, len(arch_of(state).stages[3].channels))
    added = [key for key in missing if key.endswith('.bias') and key.removesuffix('bias') + 'weight' in present]
    missing = [key for key in missing if key not in added]
    problems = [
        f'{word} ({len(keys)}): {", ".join(keys)}'
        for word, keys in (('keys it has no place for', unknown), ('keys it needs and are not there', missing))
        if keys
    ]
    if problems:
        raise ValueError(f'{goal.name} ({goal.title}) cannot hold this {fmt.name} model:\n' + '\n'.join(problems))
    return names, added
