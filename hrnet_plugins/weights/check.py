"""Check that a state dict fits a model."""

from __future__ import annotations

from torch import nn

from hrnet_plugins.weights.arch import shape_problems
from hrnet_plugins.weights.templates import State
from hrnet_plugins.weights.values import is_counter


def check_against(state: State, module: nn.Module) -> None:
    """Check that a state dict fits a model.

    Args:
        state: A state dict under the model's names.
        module: The model.

    Raises:
        ValueError: Listing entries of another shape, with width and classes expected and found, and entries that
            are missing or unknown.
    """
    expected = dict(module.state_dict())
    problems = _differences(state, expected)
    wrong = shape_problems(state, expected)
    if wrong:
        problems.append(f'shapes that differ ({len(wrong)}): {"; ".join(wrong)}')
    for word, keys in (
        ('unknown keys', [key for key in state if key not in expected]),
        ('missing keys', [key for key in expected if key not in state and not is_counter(key)]),
    ):
        if keys:
            problems.append(f'{word} ({len(keys)}): {", ".join(keys)}')
    if problems:
        name = type(module).__name__
        raise ValueError(f'`state` does not fit the {name}:\n' + '\n'.join(problems))


_CLASSIFIERS = ('conv_seg.weight', 'head.fc.weight', 'conv_cls.weight', 'conv_logits.weight', 'fc_cls.weight')


def _differences(state: State, expected: State) -> list[str]:
    """Widths and classes that differ, one line each."""
    widths, classes = [], set()
    for key in state.keys() & expected.keys():
        found, wanted = state[key].shape, expected[key].shape
        if found == wanted:
            continue
        if key.endswith('stage2.0.branches.0.0.conv1.weight'):
            widths.append(f'width: expected {wanted[0]}, found {found[0]}')
        if key.endswith(_CLASSIFIERS) and found[0] != wanted[0]:
            background = int(key.endswith('fc_cls.weight'))
            classes.add(f'classes: expected {wanted[0] - background}, found {found[0] - background}')
    return [*widths, *sorted(classes)]
