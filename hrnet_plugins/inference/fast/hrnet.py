"""How the twins of the network's modules compute. Shape legend: B batch, C channels, h x w size of a map."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_plugins.inference.fast.fold import hooked
from hrnet_plugins.inference.fast.lanes import side_by_side
from hrnet_plugins.inference.fast.mirror import Mirror

PIXELS = 1 << 21
"""Of the images that a CPU takes at once: with more, the maps leave its caches."""


class FastModule(Mirror):
    """``HRModule``: branches side by side, then the exchange's sums side by side and in place."""

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), finest first -> as many of them as the module returns, exchanged."""
        if len(feats) == 1:
            return [self.branches[0](feats[0])]
        terms = side_by_side([partial(self._leave, j, x) for j, x in enumerate(feats)])
        return side_by_side([partial(self._arrive, i, terms) for i in range(len(self.fuse_layers))])

    def _leave(self, j: int, x: Tensor) -> list[Tensor]:
        """Branch ``j``, and what it sends to each target, not yet resized."""
        x = self.branches[j](x)
        return [layers[j](x) for layers in self.fuse_layers]

    def _arrive(self, i: int, terms: Sequence[Sequence[Tensor]]) -> Tensor:
        """The sum at target ``i``, in the order of the plain module and in the memory of the first term."""
        size = terms[i][i].shape[2:]
        total = terms[0][i]
        for j in range(1, len(terms)):
            term = terms[j][i]
            if j > i:  # (B, C_i, h_j, w_j) -> (B, C_i, h_i, w_i)
                term = F.interpolate(term, size=size, mode=self.upsample, align_corners=self.align_corners)
            total.add_(term)
        return total.relu_()


class FastBlock(Mirror):
    """``ResidualBlock``: sum and ReLU in the pass of the last convolution, in the memory of the shortcut."""

    before: FastBlock | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, out_channels, h, w)."""
        convs: list[Any] = [self._modules[name] for name, _ in self._plain.conv_norm_pairs()]
        *inner, last = convs
        out = x
        for conv in inner:
            out = conv.with_relu(out)
        if self.downsample is not None:
            return last.onto(self.downsample(x), out)
        if self.before is not None and not self.before._forward_hooks:  # nobody else has seen x
            return last.onto(x, out)
        return last(out).add_(x).relu_()


class Contiguous(Mirror):
    """An operator of mmcv's, whose kernels read memory as if channels came first, whatever the strides say."""

    def forward(self, *args: object, **kwargs: object) -> object:
        """The operator's own."""
        return super().forward(*(arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args), **kwargs)


class FastHRNet(Mirror):
    """``HRNet`` whose convolutions may have channels that are zero, which it takes off its outputs.

    On a CPU it takes large batches in parts, unless hooks are there to see them whole.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> maps (B, out_channels[i], h_i, w_i)."""
        large = x.device.type == 'cpu' and x.dim() == 4 and len(x) * x.shape[2] * x.shape[3] > PIXELS
        if not large or any(map(hooked, self.modules())):
            return self._maps(x)
        images = max(1, PIXELS // (x.shape[2] * x.shape[3]))
        parts = [self._maps(part) for part in x.split(images)]
        return tuple(torch.cat(maps) for maps in zip(*parts))

    def _maps(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = super().forward(x)
        return tuple(
            out if out.shape[1] == channels else out[:, :channels].contiguous(memory_format=torch.channels_last)
            for out, channels in zip(outputs, self.out_channels)
        )
