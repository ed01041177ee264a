"""Which format a state dict is in, found from its keys and, for InPlaceABN, its values. Needs torch only."""

from __future__ import annotations

from collections.abc import Iterable

from hrnet_plugins.state_dicts import State, is_counter
from hrnet_plugins.weights.formats import FORMATS
from hrnet_plugins.weights.formats.official_seg import OFFICIAL_SEG, OFFICIAL_SEG_ABN
from hrnet_plugins.weights.formats.spec import Format
from hrnet_plugins.weights.formats.values import batch_norms

_PREFIXES = ('module.', 'model.')
"""What ``DataParallel`` and the official segmentation code's ``FullModel`` put in front of every key."""
_LOSS = 'loss.'
"""First name of the entries of ``FullModel``'s loss, which stand beside ``model.``."""


def recognise(state: State) -> str:
    """The name of the format that a state dict is in.

    Files of timm have the same names as the official classification files and are recognised as those; converting them
    gives the same result.

    A segmentation file counts as trained on InPlaceABN if no batch norm has a ``num_batches_tracked`` (PyTorch's own
    has had one since 0.4.1) and some weight is negative. Without negative weights the weights of the two readings
    differ by 1e-5 only. ``convert`` reports the decision.

    Raises:
        ValueError: If no format fits.
    """
    return recognised(without_prefix(state)).name


def recognised(state: State) -> Format:
    """The format of a state dict whose keys have no prefix of a wrapper.

    Raises:
        ValueError: As ``recognise``.
    """
    for fmt in FORMATS.values():
        if fmt.recognises(state):
            return OFFICIAL_SEG_ABN if fmt is OFFICIAL_SEG and _looks_like_abn(state) else fmt
    first = ', '.join(list(state)[:3]) or 'none'
    raise ValueError(
        f'the state dict is in no known format (its first keys: {first}); known: {", ".join(FORMATS)}. '
        f'Is it an HRNet?\nunknown keys ({len(state)}): {", ".join(state)}'
    )


def without_prefix(state: State) -> State:
    """The state dict without ``module.`` and ``model.`` in front of every key. The order of entries stays."""
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state) and all(key.startswith((prefix, _LOSS)) for key in state):
            return without_prefix({key.removeprefix(prefix): value for key, value in state.items()})
    return state


def notes_on(state: State, fmt: Format, *, named: bool) -> Iterable[str]:
    """What a user should know about the choice of a format.

    Args:
        state: The state dict, without prefix.
        fmt: The format it is read in.
        named: Whether the user named the format, rather than having it recognised.
    """
    if fmt is OFFICIAL_SEG_ABN and not named:
        yield (
            f'taken for InPlaceABN, as no batch norm has num_batches_tracked and {_negative(state)} of '
            f'{len(batch_norms(state))} have negative weights: weights became |weight| + 1e-5. If the file was '
            "trained on PyTorch's own batch norm, name the format official-seg"
        )
    if fmt is OFFICIAL_SEG and named and _looks_like_abn(state):
        yield 'looks like a file trained on InPlaceABN (*_torch04): its format would be official-seg-abn'


def _looks_like_abn(state: State) -> bool:
    return not any(map(is_counter, state)) and _negative(state) > 0


def _negative(state: State) -> int:
    """The number of batch norms that have a negative weight."""
    weights = (state.get(f'{name}.weight') for name in batch_norms(state))
    return sum(bool((weight < 0).any()) for weight in weights if weight is not None)
