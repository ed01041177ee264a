"""What a Python user calls: backbones and whole models by name, and the names there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from hrnet_plugins.archs import ARCHS, HRNetArch

if TYPE_CHECKING:
    from torch import nn

    from hrnet_plugins.models.hrnet import HRNet
    from hrnet_plugins.weights.catalog import Weight

Checkpoint = str | os.PathLike[str]
"""A name of ``list_weights``, with or without ``hrnet://``, a file in any published format, or an address."""


def create_backbone(
    arch: str | HRNetArch | Mapping[str, Any] = 'w32', *, pretrained: bool | Checkpoint = False, **options: Any
) -> HRNet:
    """An HRNet backbone, with published weights if asked.

    Args:
        arch: A name of ``list_archs``, an ``HRNetArch``, or the ``extra`` dictionary of an upstream config.
        pretrained: ``True`` for the ImageNet weights of the architecture; or a name of ``list_weights`` such as
            ``'w48_ssld'``, a file in any published format, or an address, of a backbone or of a model that has one.
            The first convolution is adapted to another number of ``in_channels`` as timm does it: for one channel its
            weights are summed, for others they are repeated and scaled. For fewer ``out_indices`` nothing changes.
        options: The other arguments of ``HRNet``, such as ``out_indices=(0, 1, 2, 3)``, ``in_channels`` or
            ``norm_eval``.

    Returns:
        The backbone in training mode, as every new module: (B, in_channels, H, W) -> maps (B, C_i, h_i, w_i) at strides
        4, 8, 16 and 32; ``out_channels`` says their channels.

    Raises:
        ValueError: If an argument is out of range, or the weights are for another architecture.
        FileNotFoundError: If the weights cannot be had, with the reason that each source gave.
    """
    from mmengine.model import initialize  # noqa: PLC0415, slow to import

    from hrnet_plugins.models.hrnet import HRNet  # noqa: PLC0415
    from hrnet_plugins.models.pretrained import load_backbone  # noqa: PLC0415
    from hrnet_plugins.weights.hub import read  # noqa: PLC0415

    if pretrained and options.get('init_cfg') is not None:
        raise ValueError(f'`pretrained` ({pretrained}) and `init_cfg` ({options["init_cfg"]}) exclude each other')
    backbone = HRNet(arch, **options)
    if pretrained:
        checkpoint = _imagenet_weights(backbone.arch) if pretrained is True else os.fspath(pretrained)
        load_backbone(backbone, read(checkpoint), name=checkpoint)
    elif options.get('init_cfg') is not None:
        backbone.init_weights()
    else:
        initialize(backbone, backbone.init_cfg)  # what init_weights does, without its log of every parameter
        backbone.zero_last_norms()
    return backbone


def create_model(
    recipe: Checkpoint,
    *,
    checkpoint: Checkpoint | Literal[False] | None = None,
    options: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The whole model of a recipe or of a published weight: detector, segmentor or classifier.

    Args:
        recipe: A name of ``list_weights``, with or without ``hrnet://``: its model with its weights. Or a name of
            ``list_recipes``, or the path of any config of mmdet, mmseg or mmpretrain: the model without weights, unless
            there is a published weight of the same name.
        checkpoint: A trained file of the framework's, a published file in any format, a name of ``list_weights``, or an
            address. By default the weights that ``recipe`` names, if it names any; ``False`` for none. A model without
            weights starts as its config says, pretrained backbones aside.
        options: Changes to the config, such as ``{'model.backbone.arch': 'w32'}``.

    Returns:
        The model in eval mode, with its config as ``cfg`` and the classes and palette of the checkpoint, else of the
        recipe's data set, as ``dataset_meta``, as the frameworks' own ``init_model`` functions leave it.

    Raises:
        ValueError: If there is no such recipe, its framework is not installed, or the checkpoint does not fit.
        FileNotFoundError: If the checkpoint cannot be had.
    """
    from mmengine.config import Config  # noqa: PLC0415, slow to import

    from hrnet_plugins.recipes import build_model, meta_of_config, recipe_path  # noqa: PLC0415
    from hrnet_plugins.weights.config import config_of  # noqa: PLC0415

    given = os.fspath(recipe)
    name, weight = _weight_named(given)
    config = Config.fromfile(recipe_path(given)) if weight is None else config_of(name, weight)
    config.merge_from_dict(dict(options or {}))
    model = build_model(config)
    model.dataset_meta = meta_of_config(config).get('dataset_meta', {})
    if checkpoint is None and weight is not None:
        try:
            load_weights(model, f'hrnet://{name}')
        except (ValueError, FileNotFoundError) as error:
            hint = f'`recipe` ({given}) is the name of published weights: for the model alone pass checkpoint=False'
            raise type(error)(f'{error}\n{hint}') from None
    elif checkpoint is not None and checkpoint is not False:
        load_weights(model, checkpoint)
    model.cfg = config
    return model.eval()


def load_weights(model: nn.Module, checkpoint: Checkpoint) -> nn.Module:
    """Load a checkpoint in any published format into a model, strictly.

    Args:
        model: A model of mmdet, mmseg or mmpretrain, or an ``HRNet``, which takes the backbone out of any model's file.
        checkpoint: A name of ``list_weights``, a file or an address.

    Returns:
        The model.

    Raises:
        ValueError: If the checkpoint does not fit, listing every entry that does not.
        FileNotFoundError: If it cannot be had.
    """
    from hrnet_plugins.models.hrnet import HRNet  # noqa: PLC0415, slow to import
    from hrnet_plugins.models.pretrained import load_backbone  # noqa: PLC0415
    from hrnet_plugins.state_dicts import check_against  # noqa: PLC0415
    from hrnet_plugins.weights.conversion import convert  # noqa: PLC0415
    from hrnet_plugins.weights.hub import read_with_meta  # noqa: PLC0415

    state, meta = read_with_meta(os.fspath(checkpoint))
    if isinstance(model, HRNet):
        load_backbone(model, state, name=os.fspath(checkpoint))
        return model
    if not state.keys() >= model.state_dict().keys():
        state, _ = convert(state)
    check_against(state, model)
    model.load_state_dict(state)
    if meta:
        model.dataset_meta = meta['dataset_meta']
    return model


def list_archs() -> list[str]:
    """Names of the published architectures, such as ``'w32'``."""
    return list(ARCHS)


def list_recipes(pattern: str = '*') -> list[str]:
    """Names of the recipes that match a pattern such as ``'fcos*'``, in alphabetical order."""
    from hrnet_plugins.recipes import recipes  # noqa: PLC0415

    return [name for name in recipes() if fnmatchcase(name, pattern)]


def list_weights(pattern: str = '*') -> list[str]:
    """Names of the published weights that match a pattern such as ``'*w48*'``."""
    from hrnet_plugins.weights.catalog import CATALOG  # noqa: PLC0415

    return [name for name in CATALOG if fnmatchcase(name, pattern)]


def _weight_named(recipe: str) -> tuple[str, Weight | None]:
    """The name and the row of the weight that is named where a recipe may stand, if one is."""
    from hrnet_plugins.weights.catalog import CATALOG, SCHEME, named  # noqa: PLC0415

    name = recipe.removeprefix(SCHEME)
    if name != recipe:
        return name, named(name, CATALOG)
    return name, None if os.path.isfile(recipe) else CATALOG.get(name)


def _imagenet_weights(arch: HRNetArch) -> str:
    name = next((name for name, known in ARCHS.items() if known == arch), None)
    if name is None:
        raise ValueError(
            f'`pretrained` (True): no ImageNet weights are published for `arch` ({arch}), only for {", ".join(ARCHS)}'
        )
    return name
