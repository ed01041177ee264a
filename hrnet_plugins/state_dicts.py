"""What can be said about a state dict without knowing where it came from. Needs torch only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

State = dict[str, Tensor]
"""A state dict: tensors by key."""

_CLASSIFIERS = ('conv_seg.weight', 'head.fc.weight', 'conv_cls.weight', 'conv_logits.weight', 'fc_cls.weight')
"""Ends of the keys of layers that have one row for each class."""


def is_counter(key: str) -> bool:
    """Whether a key is ``num_batches_tracked`` of a batch norm. No output depends on it, and older files lack it."""
    return key.endswith('num_batches_tracked')


def shape_problems(found: State, expected: State, name: Callable[[str], str] = str) -> list[str]:
    """One line for each entry whose shape is not the expected one.

    Args:
        found: The state dict to check.
        expected: Tensors of the right shapes. Keys that only one of the two has are not looked at.
        name: How the lines write a key.
    """
    return [
        f'{name(key)}: expected {_shape(expected[key])}, found {_shape(value)}'
        for key, value in found.items()
        if key in expected and value.shape != expected[key].shape
    ]


def key_problems(keys: Mapping[str, Sequence[str]]) -> list[str]:
    """One line for each title that has keys: how many, and which."""
    return [f'{title} ({len(listed)}): {", ".join(listed)}' for title, listed in keys.items() if listed]


def check_against(state: State, module: nn.Module) -> None:
    """Check that a state dict fits a model.

    Args:
        state: A state dict under the model's names.
        module: The model.

    Raises:
        ValueError: Listing entries of another shape, with width and classes expected and found, and entries that
            are missing or unknown.
    """
    check_entries(state, dict(module.state_dict()), name=type(module).__name__)


def check_entries(state: State, expected: State, *, name: str) -> None:
    """Check that a state dict has the entries of another, with their shapes.

    Args:
        state: The state dict.
        expected: Tensors of the right shapes.
        name: What the model is called in the message.

    Raises:
        ValueError: As ``check_against``.
    """
    problems = _width_and_class_problems(state, expected)
    wrong = shape_problems(state, expected)
    if wrong:
        problems.append(f'shapes that differ ({len(wrong)}): {"; ".join(wrong)}')
    unknown = [key for key in state if key not in expected]
    missing = [key for key in expected if key not in state and not is_counter(key)]
    problems += key_problems({'unknown keys': unknown, 'missing keys': missing})
    if problems:
        raise ValueError(f'`state` does not fit the {name}:\n' + '\n'.join(problems))


def _width_and_class_problems(state: State, expected: State) -> list[str]:
    """One line for each width of the backbone and each number of classes that differs."""
    widths, classes = [], set()
    for key in state.keys() & expected.keys():
        found, wanted = state[key].shape, expected[key].shape
        if found == wanted:
            continue
        if key.endswith('stage2.0.branches.0.0.conv1.weight'):
            widths.append(f'width: expected {wanted[0]}, found {found[0]}')
        if key.endswith(_CLASSIFIERS) and found[0] != wanted[0]:
            background = int(key.endswith('fc_cls.weight'))  # the only one with a row for the background
            classes.add(f'classes: expected {wanted[0] - background}, found {found[0] - background}')
    return [*widths, *sorted(classes)]


def _shape(tensor: Tensor) -> str:
    return f'({", ".join(map(str, tensor.shape))})'
