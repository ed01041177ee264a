"""Loading published weights into a backbone, held to its architecture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from hrnet_plugins.state_dicts import State, check_against, is_counter

ANCHOR = 'stage2.0.branches.0.0.conv1.weight'
"""An entry that every HRNet has; what stands in front of it in a file is the prefix of the backbone there."""
STEM = 'conv1.weight'
ENOUGH = 0.9
"""Part of the backbone's entries that a file must hold. Less means that it holds another network."""


def initialise(backbone: Any, init_weights: Callable[[], None]) -> None:
    """Initialise a backbone by mmengine's ``init_weights``, with its ``Pretrained`` weights held to the architecture.

    Args:
        backbone: An mmengine module with an HRNet's names.
        init_weights: mmengine's own method for it.

    Raises:
        ValueError: If pretrained weights do not fit.
    """
    given = backbone.init_cfg
    pretrained = [dict(cfg, type=PretrainedBackbone) for cfg in _cfgs(backbone) if _names_weights(cfg)]
    backbone.init_cfg = [cfg for cfg in _cfgs(backbone) if not _names_weights(cfg)] + pretrained
    try:
        init_weights()
    finally:
        backbone.init_cfg = given


def is_pretrained(backbone: Any) -> bool:
    """Whether the initialisation of a backbone names pretrained weights."""
    return any(map(_names_weights, _cfgs(backbone)))


def _cfgs(backbone: Any) -> list[dict[str, Any]]:
    return backbone.init_cfg if isinstance(backbone.init_cfg, list) else [backbone.init_cfg]


def _names_weights(cfg: dict[str, Any]) -> bool:
    return cfg['type'] in ('Pretrained', PretrainedInit)


class PretrainedBackbone(PretrainedInit):
    """mmengine's ``Pretrained`` for an HRNet: the file is read once, and has to fit.

    Args:
        checkpoint: As for mmengine: a path, an address, or a name such as ``hrnet://w32``.
        prefix: What stands in front of the backbone's names in the file. Found by itself if not given.
        map_location: Where the tensors are read to.
    """

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a backbone.

        Raises:
            ValueError: If they do not fit.
        """
        print_log(f'load the backbone from: {self.checkpoint}', logger='current')
        content = CheckpointLoader.load_checkpoint(self.checkpoint, map_location=self.map_location, logger='current')
        load_backbone(module, content.get('state_dict', content), name=self.checkpoint, prefix=self.prefix)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


def load_backbone(module: nn.Module, state: State, *, name: str, prefix: str | None = None) -> None:
    """Load the backbone that is in a state dict.

    The entries of other parts of a model are left out. A stem for another number of input channels is adapted, see
    ``adapt_input_channels``.

    Args:
        module: The backbone.
        state: A state dict of a backbone or of a whole model, under OpenMMLab's names.
        name: What the state dict is called in messages.
        prefix: What stands in front of the backbone's names; found by itself if not given.

    Raises:
        ValueError: If the state dict is for another architecture, holds less than ``ENOUGH`` of the backbone, or no
            entry begins with ``prefix``.
    """
    own = module.state_dict()
    found = _within(state, name, prefix)
    if STEM in found and STEM in own and found[STEM].dim() == own[STEM].dim() == 4:
        found[STEM] = adapt_input_channels(found[STEM], own[STEM].shape[1])
    found = {key: value for key, value in found.items() if key in own}
    missing = [key for key in own if key not in found and not is_counter(key)]
    needed = sum(not is_counter(key) for key in own)
    if ANCHOR in found:
        try:
            check_against({**{key: own[key] for key in missing}, **found}, module)
        except ValueError as error:
            raise ValueError(f'`init_cfg` names {name}, which is for another architecture: {error}') from None
    if len(missing) > (1 - ENOUGH) * needed:
        reason = (
            'the others are missing in it'
            if ANCHOR in found
            else "it holds no HRNet under OpenMMLab's names. `hrnet-plugins convert` turns published files into such"
        )
        raise ValueError(
            f'`init_cfg` names {name}, which has {needed - len(missing)} of the {needed} entries of this '
            f'{type(module).__name__}: {reason}'
        )
    if missing:
        print_log(f'{name} lacks {", ".join(missing)}', logger='current', level=logging.WARNING)
    module.load_state_dict(found, strict=False)


def _within(state: State, name: str, prefix: str | None) -> State:
    """The entries of the backbone, under its own names."""
    state = {key.removeprefix('module.'): value for key, value in state.items()}
    if not prefix:
        prefixes = [key.removesuffix(ANCHOR) for key in state if key.endswith(ANCHOR)]
        prefix = '' if not prefixes or '' in prefixes else prefixes[0]
    else:  # as mmengine takes it, with or without its dot
        prefix = f'{prefix.removesuffix(".")}.'
    inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if not inside:
        raise ValueError(f'`prefix` ({prefix.removesuffix(".")}) of `init_cfg` begins no entry of {name}: leave it out')
    return inside


def adapt_input_channels(weight: Tensor, in_channels: int) -> Tensor:
    """The first convolution's weight for images of another number of channels, as timm adapts it.

    For one channel the weights of all are summed, which computes what a grey image gave in every channel. For any other
    number they are repeated in order, scaled so that equal channels give the same sum as before.

    Args:
        weight: (O, C, k, k).
        in_channels: The number of channels wanted.

    Returns:
        (O, in_channels, k, k).
    """
    channels = weight.shape[1]
    if in_channels == channels:
        return weight
    if in_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = torch.cat([weight] * -(-in_channels // channels), dim=1)[:, :in_channels]
    return repeated * (channels / in_channels)
