"""Parallel branches and the exchange between them. Shape legend: B batch, C_i channels and h_i x w_i size of map i."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from hrnet_plugins.archs import Stage
from hrnet_plugins.models.layers import LayerFactory, residual_layer
from hrnet_plugins.models.recompute import WithCP, grain_of, run
from hrnet_plugins.models.resizing import resize


class HRModule(nn.Module):
    """Parallel branches followed by an exchange between all of them (arXiv:1908.07919, section 3.2).

    Branch ``i`` receives the sum over every branch ``j``: resized up after a 1x1 convolution where ``j`` is
    coarser, through strided 3x3 convolutions where it is finer, as it is where ``j == i``.

    Args:
        stage: Branches to build; ``modules`` is not read here.
        layers: Factory of convolutions and norms.
        num_outs: How many branches, from the finest, the exchange returns.
        upsample: Interpolation of coarser branches.
        align_corners: As in ``torch.nn.functional.interpolate``; ``None`` for nearest.
        upsample_by: Coarser branches are resized to the finer branch's ``'size'``, or by the ``'factor'`` between their
            strides first, and then to that size.
        with_cp: What is recomputed in the backward pass, see ``recompute``.
    """

    def __init__(
        self,
        stage: Stage,
        layers: LayerFactory,
        *,
        num_outs: int,
        upsample: str,
        align_corners: bool | None,
        upsample_by: Literal['size', 'factor'],
        with_cp: WithCP = False,
    ) -> None:
        super().__init__()
        self.grain = grain_of(with_cp)
        self.upsample = upsample
        self.align_corners = align_corners
        self.upsample_by = upsample_by
        channels = stage.out_channels
        self.branches = nn.ModuleList(
            residual_layer(stage.block, c_out, c_base, depth, layers, with_cp=self.grain == 'block')
            for c_out, c_base, depth in zip(channels, stage.channels, stage.blocks)
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_exchange(channels, j, i, layers) for j in range(len(channels)))
            for i in range(num_outs if len(channels) > 1 else 0)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feats: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, C_i, h_i, w_i), finest first -> the first ``num_outs`` of them, exchanged."""
        grain = '' if self.grain == 'block' else self.grain  # the blocks do that themselves
        return run(self._run, [self.branches, self.fuse_layers], grain, feats)

    def _run(self, feats: Sequence[Tensor]) -> list[Tensor]:
        feats = [branch(x) for branch, x in zip(self.branches, feats)]
        if len(feats) == 1:
            return feats
        return [self.relu(self._fuse(i, feats)) for i in range(len(self.fuse_layers))]

    def _fuse(self, i: int, feats: Sequence[Tensor]) -> Tensor:
        size = feats[i].shape[2:]
        total: Tensor | None = None
        for j, feat in enumerate(feats):
            term = self.fuse_layers[i][j](feat)  # type: ignore[index]  # a list of lists
            if j > i:  # (B, C_i, h_j, w_j) -> (B, C_i, h_i, w_i)
                term = self.resize_up(term, size, steps=j - i)
            total = term if total is None else total + term
        assert total is not None
        return total

    def resize_up(self, x: Tensor, size: Sequence[int], *, steps: int) -> Tensor:
        """The map of a branch ``steps`` coarser at the size of a finer one: (B, C, h, w) -> (B, C, *size)."""
        sizes = [size]
        if self.upsample_by == 'factor':
            factor = 2**steps
            sizes.insert(0, (x.shape[2] * factor, x.shape[3] * factor))
        for target in sizes:
            x = resize(x, target, mode=self.upsample, align_corners=self.align_corners)
        return x


def _exchange(channels: Sequence[int], source: int, target: int, layers: LayerFactory) -> nn.Module:
    """What branch ``source`` passes through on its way into branch ``target``, resizing up aside."""
    if source == target:
        return nn.Identity()
    if source > target:
        return layers.conv_norm(channels[source], channels[target], 1)
    *inner, last = [channels[source]] * (target - source - 1) + [channels[target]]
    steps = [layers.conv_norm_relu(c, c, stride=2) for c in inner]
    return nn.Sequential(*steps, layers.conv_norm(channels[source], last, 3, stride=2))
