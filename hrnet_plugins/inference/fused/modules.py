"""Forwards of the fused modules. Shape legend: B batch, C channels, h x w map size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hrnet_plugins.inference.fused.conv_bn import FusedConv
from hrnet_plugins.inference.fused.streams import run_parallel
from hrnet_plugins.inference.proxy import Proxy
from hrnet_plugins.models.conv_norm import has_hooks
from hrnet_plugins.models.hrnet import check_image
from hrnet_plugins.models.layers import ResidualBlock

MAX_PIXELS = 1 << 21
"""Image pixels that a CPU takes at once. The maps of more pixels leave its caches."""
BAND_PIXELS = 1 << 22
"""Pixels of one image that a CPU takes through stage 1 at once. Its maps take 100 to 200 bytes a pixel, far more than
those of the other stages."""
BAND_STRIDE = 8
"""Bands begin at rows that are multiples of the coarsest stride of ``transition1``."""


class FusedHRModule(Proxy):
    """``HRModule``: its branches run in parallel, then the sums of the exchange, in parallel and in place."""

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), finest first -> as many of them as the module returns, exchanged."""
        if len(feats) == 1:
            return [self.branches[0](feats[0])]
        terms = run_parallel([partial(self._run_branch, j, x) for j, x in enumerate(feats)])
        return run_parallel([partial(self._sum_terms, i, terms) for i in range(len(self.fuse_layers))])

    def _run_branch(self, j: int, x: Tensor) -> list[Tensor]:
        """Run branch ``j``; return its term for each target, not resized yet."""
        x = self.branches[j](x)
        return [layers[j](x) for layers in self.fuse_layers]

    def _sum_terms(self, i: int, terms: Sequence[Sequence[Tensor]]) -> Tensor:
        """The sum at target ``i``, in the original's order of addition and in the memory of the first term."""
        size = terms[i][i].shape[2:]
        total = terms[0][i]
        for j in range(1, len(terms)):
            term = terms[j][i]
            if j > i:  # (B, C_i, h_j, w_j) -> (B, C_i, h_i, w_i)
                term = self.resize_up(term, size, steps=j - i)
            total.add_(term)
        return total.relu_()


class FusedResidualBlock(Proxy):
    """A residual block: its last convolution also adds the shortcut and applies ReLU, in the shortcut's memory."""

    _plain: ResidualBlock
    previous: FusedResidualBlock | None = None
    """The fused block that made the input, if any: then only this block holds the input and may write over it."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) -> (B, out_channels, h, w)."""
        convs: list[Any] = [self._modules[name] for name, _ in self._plain.conv_norm_pairs()]
        *inner, last = convs
        out = x
        for conv in inner:
            out = conv.with_relu(out)
        if self.downsample is not None:
            return last.add_relu_(self.downsample(x), out)
        if self.previous is not None and not self.previous._forward_hooks:  # a hook may have kept x
            return last.add_relu_(x, out)
        return last(out).add_(x).relu_()


class ContiguousOp(Proxy):
    """An operator of mmcv: its kernels ignore strides, so it receives contiguous maps."""

    def forward(self, *args: object, **kwargs: object) -> object:
        """As the operator's own."""
        return super().forward(*(arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args), **kwargs)


class FusedHRNet(Proxy):
    """``HRNet`` whose convolutions may have extra channels of zeros; the outputs come without them.

    On a CPU a large batch is split, and a large image goes through stage 1 in bands, unless a hook would see the
    pieces.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, in_channels, H, W) -> maps (B, out_channels[i], h_i, w_i)."""
        large = x.device.type == 'cpu' and x.dim() == 4 and len(x) * x.shape[2] * x.shape[3] > MAX_PIXELS
        if not large or any(map(has_hooks, self.modules())):
            return self._run_piece(x)
        images = max(1, MAX_PIXELS // (x.shape[2] * x.shape[3]))
        pieces = [self._run_piece(piece) for piece in x.split(images)]
        return tuple(torch.cat(maps) for maps in zip(*pieces))

    def _forward_in_bands(self, x: Tensor) -> tuple[Tensor, ...]:
        check_image(x, self.in_channels)
        feats = self.stage2(self._first_maps_in_bands(x))
        feats = self.stage3(self.pass_on(self.transition2, feats))
        feats = self.stage4(self.pass_on(self.transition3, feats))
        return tuple(feats[i] for i in self.out_indices)

    def _first_maps_in_bands(self, x: Tensor) -> list[Tensor]:
        """The maps that stage 2 receives, computed in bands of rows, each with the rows around it that its pixels see.

        (B, in_channels, H, W) -> maps (B, C_i, h_i, w_i) at strides 4 and 8.
        """
        height, width = x.shape[2:]
        wide = [m for m in self.layer1.modules() if isinstance(m, FusedConv) and m.weight.shape[-1] > 1]
        seen = 4 * (len(wide) + 3)  # a row each at stride 4; the stem and the transition see two rows, and some more
        seen = -(-seen // BAND_STRIDE) * BAND_STRIDE
        rows = max(seen, BAND_PIXELS // (len(x) * width) // BAND_STRIDE * BAND_STRIDE)
        wholes: list[Tensor] = []
        for top in range(0, height, rows):
            first = max(0, top - seen)
            band = self._first_maps(x[:, :, first : top + rows + seen])
            for i, part in enumerate(band):  # at strides 4 and 8
                stride = 4 << i
                if not top:
                    size = len(x), part.shape[1], -(-height // stride), part.shape[3]
                    wholes.append(part.new_empty(size).contiguous(memory_format=torch.channels_last))
                begin, end = top // stride, min(-(-(top + rows) // stride), wholes[i].shape[2])
                before = (top - first) // stride
                wholes[i][:, :, begin:end] = part[:, :, before : before + end - begin]
        return wholes

    def _is_local(self) -> bool:
        """True when the layers before stage 2 see a few rows only: all are fused convolutions, no norm is left."""
        layers = (self.conv1, self.norm1, self.conv2, self.norm2, self.layer1, self.transition1)
        leaves = [m for layer in layers for m in layer.modules() if not m._modules]
        return all(isinstance(m, (FusedConv, nn.Identity, nn.ReLU, nn.ModuleList)) for m in leaves)

    def _first_maps(self, x: Tensor) -> list[Tensor]:
        return self.pass_on(self.transition1, [self.layer1(self.stem(x))])

    def _run_piece(self, x: Tensor) -> tuple[Tensor, ...]:
        large = x.device.type == 'cpu' and x.dim() == 4 and len(x) * x.shape[2] * x.shape[3] > BAND_PIXELS
        if large and self._is_local() and not any(map(has_hooks, self.modules())):
            outputs = self._forward_in_bands(x)
        else:
            outputs = super().forward(x)
        return tuple(
            out if out.shape[1] == channels else out[:, :channels].contiguous(memory_format=torch.channels_last)
            for out, channels in zip(outputs, self.out_channels)
        )
