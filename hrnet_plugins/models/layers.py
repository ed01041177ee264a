"""Residual blocks, and the factory that binds the choice of convolution and norm once."""

from __future__ import annotations

from typing import Any

import torch.utils.checkpoint
from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import Tensor, nn

from hrnet_plugins.archs import EXPANSION, BlockName

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
    """

    def __init__(self, conv_cfg: dict[str, Any] | None = None, norm_cfg: dict[str, Any] | None = None) -> None:
        self.conv_cfg = conv_cfg
        self.norm_cfg = norm_cfg or dict(type='BN')

    def conv(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Module:
        """A convolution without bias that keeps the size, up to its stride."""
        padding = kernel_size // 2
        return build_conv_layer(
            self.conv_cfg, in_channels, out_channels, kernel_size, stride=stride, padding=padding, bias=False
        )

    def norm(self, channels: int, *, postfix: int | str = '') -> tuple[str, nn.Module]:
        """A norm and the published attribute name for it, ``bn1`` or ``gn1`` for ``postfix=1``."""
        return build_norm_layer(self.norm_cfg, channels, postfix=postfix)

    def conv_norm(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1) -> nn.Sequential:
        """Convolution and norm."""
        conv = self.conv(in_channels, out_channels, kernel_size, stride=stride)
        return nn.Sequential(conv, self.norm(out_channels)[1])

    def conv_norm_relu(self, in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
        """3x3 convolution, norm and ReLU."""
        return self.conv_norm(in_channels, out_channels, 3, stride=stride).append(nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """A residual block (He et al., arXiv:1512.03385, section 3): ``relu(branch(x) + shortcut(x))``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernels: ``(in_channels, out_channels, kernel_size)`` of each convolution of the branch.
        layers: Factory of convolutions and norms.
        with_cp: Recompute the branch in the backward pass instead of storing it. Training-mode norms then
            see each batch twice, as in every framework that checkpoints them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernels: tuple[tuple[int, int, int], ...],
        layers: LayerFactory,
        *,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self._names = []
        for i, (c_in, c_out, kernel_size) in enumerate(kernels, start=1):
            norm_name, norm = layers.norm(c_out, postfix=i)
            self.add_module(f'conv{i}', layers.conv(c_in, c_out, kernel_size))
            self.add_module(norm_name, norm)
            self._names.append((f'conv{i}', norm_name))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None if in_channels == out_channels else layers.conv_norm(in_channels, out_channels, 1)

    @property
    def last_norm(self) -> nn.Module:
        """The norm just before the sum."""
        return self.get_submodule(self._names[-1][1])

    def _sum(self, x: Tensor) -> Tensor:
        out = x
        for i, (conv, norm) in enumerate(self._names):
            out = getattr(self, norm)(getattr(self, conv)(self.relu(out) if i else out))
        out += x if self.downsample is None else self.downsample(x)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        if self.with_cp and x.requires_grad:
            return self.relu(torch.utils.checkpoint.checkpoint(self._sum, x, use_reentrant=False))
        return self.relu(self._sum(x))


def residual_layer(
    block: BlockName, in_channels: int, channels: int, depth: int, layers: LayerFactory, *, with_cp: bool = False
) -> nn.Sequential:
    """``depth`` residual blocks in a row, from ``in_channels`` to ``channels * EXPANSION[block]``."""
    out_channels = channels * EXPANSION[block]
    blocks = []
    for c_in in (in_channels,) + (out_channels,) * (depth - 1):
        kernels: tuple[tuple[int, int, int], ...]
        if block == 'BASIC':
            kernels = ((c_in, channels, 3), (channels, out_channels, 3))
        else:
            kernels = ((c_in, channels, 1), (channels, channels, 3), (channels, out_channels, 1))
        blocks.append(ResidualBlock(c_in, out_channels, kernels, layers, with_cp=with_cp))
    return nn.Sequential(*blocks)
