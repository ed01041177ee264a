"""Residual blocks, and the factory that binds the choice of convolution and norm once.

Shape legend: B batch, H x W size of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import Tensor, nn

from hrnet_plugins.archs import EXPANSION, BlockName
from hrnet_plugins.models.conv_norm import ConvNorm, conv_norm
from hrnet_plugins.models.recompute import run

DEFAULT_INIT: list[dict[str, Any]] = [
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
]
"""Initialisation of convolutions and norms where a config asks for no other, as in all three frameworks."""


class LayerFactory:
    """Builds convolutions and norms of one kind; the blocks receive it instead of the choices themselves.

    Args:
        conv_cfg: mmcv convolution config; ``None`` means ``nn.Conv2d``.
        norm_cfg: mmcv norm config; ``None`` means ``dict(type='BN')``.
        efficient_conv_bn_eval: Whether modules train a convolution and a norm with fixed statistics as one convolution.
    """

    def __init__(
        self,
        conv_cfg: dict[str, Any] | None = None,
        norm_cfg: dict[str, Any] | None = None,
        *,
        efficient_conv_bn_eval: bool = True,
    ) -> None:
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg or dict(type='BN')
        self.efficient_conv_bn_eval = efficient_conv_bn_eval

    def conv(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Module:
        """A convolution without bias that keeps the size, up to its stride."""
        padding = kernel_size // 2
        return build_conv_layer(
            self.conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )

    def norm(self, channels: int, *, postfix: int | str = '') -> tuple[str, nn.Module]:
        """The published attribute name of a norm, ``bn1`` or ``gn1`` for ``postfix=1``, and the norm."""
        return build_norm_layer(self.norm_cfg, channels, postfix=postfix)

    def add_norm(self, module: nn.Module, channels: int, *, postfix: int) -> str:
        """Add a norm to a module as its next child, under the published name, which is returned."""
        name, norm = self.norm(channels, postfix=postfix)
        module.add_module(name, norm)
        return name

    def conv_norm(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> ConvNorm:
        """Convolution and norm."""
        conv = self.conv(in_channels, out_channels, kernel_size, stride=stride)
        sequence = ConvNorm(conv, self.norm(out_channels)[1])
        sequence.efficient_conv_bn_eval = self.efficient_conv_bn_eval
        return sequence

    def conv_norm_relu(self, in_channels: int, out_channels: int, *, stride: int = 1) -> ConvNorm:
        """3x3 convolution, norm and ReLU."""
        sequence = self.conv_norm(in_channels, out_channels, 3, stride=stride)
        sequence.append(nn.ReLU(inplace=True))
        return sequence


class NamedNorms(nn.Module):
    """Two norms whose names in the state dict depend on their kind, as in all three frameworks.

    Attributes:
        norm1_name: What the state dict calls the first norm: ``bn1``, or ``gn1`` for group norms.
        norm2_name: The same of the second.
    """

    norm1_name: str
    norm2_name: str

    @property
    def norm1(self) -> nn.Module:
        """The norm after ``conv1``."""
        return self._modules[self.norm1_name]  # type: ignore[return-value]  # never None

    @property
    def norm2(self) -> nn.Module:
        """The norm after ``conv2``."""
        return self._modules[self.norm2_name]  # type: ignore[return-value]  # never None


class ResidualBlock(NamedNorms):
    """What the two residual blocks share (He et al., arXiv:1512.03385, section 3): ``relu(branch(x) + shortcut(x))``.

    Args:
        in_channels: Channels of the input.
        channels: Base channels; the output has ``channels * EXPANSION[block]``.
        layers: Factory of convolutions and norms.
        with_cp: Recompute the branch in the backward pass instead of storing it.
    """

    relu: nn.ReLU
    downsample: ConvNorm | None

    def __init__(self, in_channels: int, channels: int, layers: LayerFactory, *, with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.conv_norm = partial(conv_norm, efficient=layers.efficient_conv_bn_eval)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        return self.relu(run(self._sum, [self], 'block' if self.with_cp else '', x))

    def _sum(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        out += x if self.downsample is None else self.downsample(x)
        return out

    def branch(self, x: Tensor) -> Tensor:
        """What is added to the shortcut: (B, in_channels, H, W) -> (B, out_channels, H, W)."""
        raise NotImplementedError

    @property
    def last_norm(self) -> nn.Module:
        """The norm just before the sum."""
        raise NotImplementedError

    def conv_norm_pairs(self) -> tuple[tuple[str, str], ...]:
        """Names of each convolution of the branch and of the norm that takes its output, in the order of the forward.

        All but the last norm are followed by a ReLU.
        """
        raise NotImplementedError


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions beside the shortcut; it keeps ``channels``. Arguments as for ``ResidualBlock``."""

    def __init__(self, in_channels: int, channels: int, layers: LayerFactory, *, with_cp: bool = False) -> None:
        super().__init__(in_channels, channels, layers, with_cp=with_cp)
        shortcut = _shortcut(in_channels, channels, layers)  # first, as upstream draws its random numbers
        self.conv1 = layers.conv(in_channels, channels, 3)
        self.norm1_name = layers.add_norm(self, channels, postfix=1)
        self.conv2 = layers.conv(channels, channels, 3)
        self.norm2_name = layers.add_norm(self, channels, postfix=2)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    def branch(self, x: Tensor) -> Tensor:
        """See ``ResidualBlock``."""
        x = self.relu(self.conv_norm(self.conv1, self.norm1, x))  # (B, channels, H, W)
        return self.conv_norm(self.conv2, self.norm2, x)  # (B, channels, H, W)

    @property
    def last_norm(self) -> nn.Module:
        """See ``ResidualBlock``."""
        return self.norm2

    def conv_norm_pairs(self) -> tuple[tuple[str, str], ...]:
        """See ``ResidualBlock``."""
        return ('conv1', self.norm1_name), ('conv2', self.norm2_name)


class Bottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions beside the shortcut, to four times ``channels``. Arguments as ``ResidualBlock``."""

    norm3_name: str

    def __init__(self, in_channels: int, channels: int, layers: LayerFactory, *, with_cp: bool = False) -> None:
        super().__init__(in_channels, channels, layers, with_cp=with_cp)
        out_channels = channels * EXPANSION['BOTTLENECK']
        shortcut = _shortcut(in_channels, out_channels, layers)  # first, as upstream draws its random numbers
        self.conv1 = layers.conv(in_channels, channels, 1)
        self.norm1_name = layers.add_norm(self, channels, postfix=1)
        self.conv2 = layers.conv(channels, channels, 3)
        self.norm2_name = layers.add_norm(self, channels, postfix=2)
        self.conv3 = layers.conv(channels, out_channels, 1)
        self.norm3_name = layers.add_norm(self, out_channels, postfix=3)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut

    @property
    def norm3(self) -> nn.Module:
        """The norm after ``conv3``."""
        return self._modules[self.norm3_name]  # type: ignore[return-value]  # never None

    def branch(self, x: Tensor) -> Tensor:
        """See ``ResidualBlock``."""
        x = self.relu(self.conv_norm(self.conv1, self.norm1, x))  # (B, channels, H, W)
        x = self.relu(self.conv_norm(self.conv2, self.norm2, x))  # (B, channels, H, W)
        return self.conv_norm(self.conv3, self.norm3, x)  # (B, 4 * channels, H, W)

    @property
    def last_norm(self) -> nn.Module:
        """See ``ResidualBlock``."""
        return self.norm3

    def conv_norm_pairs(self) -> tuple[tuple[str, str], ...]:
        """See ``ResidualBlock``."""
        return ('conv1', self.norm1_name), ('conv2', self.norm2_name), ('conv3', self.norm3_name)


BLOCKS: Mapping[BlockName, type[ResidualBlock]] = MappingProxyType({'BASIC': BasicBlock, 'BOTTLENECK': Bottleneck})
"""Residual blocks by the names that architectures use."""


def residual_layer(
    block: BlockName, in_channels: int, channels: int, depth: int, layers: LayerFactory, *, with_cp: bool = False
) -> nn.Sequential:
    """``depth`` residual blocks in a row, from ``in_channels`` to ``channels * EXPANSION[block]``."""
    inputs = (in_channels,) + (channels * EXPANSION[block],) * (depth - 1)
    return nn.Sequential(*(BLOCKS[block](c_in, channels, layers, with_cp=with_cp) for c_in in inputs))


def _shortcut(in_channels: int, out_channels: int, layers: LayerFactory) -> ConvNorm | None:
    """``None`` where the input is added as it is."""
    return None if in_channels == out_channels else layers.conv_norm(in_channels, out_channels, 1)
