"""What mmengine loads into a whole model: the backbone's part is found, fitted and held to its architecture.

mmengine loads what has the right name and shape and logs the rest, so that a detector whose backbone got nothing trains
all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from hrnet_plugins.models.hrnet import HRNet
from hrnet_plugins.models.pretrained import ANCHOR, ENOUGH, STEM, adapt_input_channels
from hrnet_plugins.state_dicts import State, check_against, is_counter

ANY_BACKBONE = 'layer1.0.conv1.weight'
"""An entry of every HRNet and ResNet: a file that has it holds a backbone."""


def fit_backbones(model: nn.Module, state: State) -> State:
    """A state dict in which the backbones of a model find their entries.

    Entries of an HRNet under another prefix, such as those of a backbone alone, get the prefix that they have in the
    model. A stem for another number of input channels is adapted. A file without any backbone, such as one of a head,
    is left as it is.

    Args:
        model: Any model; its ``HRNet`` modules are looked at.
        state: A state dict, which is not changed.

    Raises:
        ValueError: If a file that holds a backbone has less than ``ENOUGH`` of an ``HRNet``.
    """
    for prefix, backbone in _backbones(model):
        state = _fitted(prefix, backbone, state)
    return state


def _backbones(module: nn.Module, prefix: str = '') -> Iterator[tuple[str, HRNet]]:
    """Every ``HRNet`` and its prefix in a state dict as mmengine loads it, which knows no wrappers."""
    if is_model_wrapper(module) or isinstance(module, BaseTTAModel):
        module = module.get_submodule('module')
    if isinstance(module, HRNet):
        yield prefix, module
        return
    for name, child in module._modules.items():
        if child is not None:
            yield from _backbones(child, f'{prefix}{name}.')


def _fitted(prefix: str, backbone: HRNet, state: State) -> State:
    own = dict(backbone.state_dict())
    if not _holds_backbone(state, prefix):
        return state
    prefixes = [prefix, *sorted({key.removesuffix(ANCHOR) for key in state if key.endswith(ANCHOR)} - {prefix})]
    for source in prefixes:
        found = _part(state, source, own)
        if _share(found, own) < ENOUGH:
            continue
        moved = {prefix + key: value for key, value in found.items()}
        if source == prefix and moved[prefix + STEM] is state[prefix + STEM]:
            return state
        if source != prefix:
            print_log(f'entries of an HRNet, {source}*, are loaded as {prefix}*', logger='current')
        rest = {key: value for key, value in state.items() if key.removeprefix(source) not in found}
        fitted = OrderedDict({**(rest if source != prefix else state), **moved})
        if hasattr(state, '_metadata'):  # the versions of layers
            fitted._metadata = state._metadata  # type: ignore[attr-defined]
        return fitted
    raise ValueError(_refusal(prefix, backbone, [_part(state, source, own) for source in prefixes], own))


def _holds_backbone(state: State, prefix: str) -> bool:
    return any(key.startswith(prefix) or key.endswith(ANY_BACKBONE) for key in state)


def _part(state: State, source: str, own: State) -> State:
    """The entries that begin with ``source``, under the backbone's own names, with a stem that fits."""
    found = {key.removeprefix(source): value for key, value in state.items() if key.startswith(source)}
    found = {key: value for key, value in found.items() if key in own}
    if STEM in found and found[STEM].dim() == own[STEM].dim():
        found[STEM] = adapt_input_channels(found[STEM], own[STEM].shape[1])
    return found


def _share(found: State, own: State) -> float:
    """The part of the backbone's entries that are there in its shapes."""
    needed = [key for key in own if not is_counter(key)]
    return sum(key in found and found[key].shape == own[key].shape for key in needed) / len(needed)


def _refusal(prefix: str, backbone: HRNet, candidates: list[State], own: State) -> str:
    best = max(candidates, key=len)
    where = f'the backbone `{prefix.removesuffix(".")}`' if prefix else 'the backbone'
    says = f'the checkpoint has {_share(best, own):.0%} of the entries of {where}'
    if ANCHOR not in best:
        return f"{says}: it holds no HRNet under OpenMMLab's names. `hrnet-plugins convert` gives published files these"
    try:
        check_against({**own, **best}, backbone)
    except ValueError as error:
        return f'{says}: it is for another architecture: {error}'
    return f'{says}: the others are missing in it'
