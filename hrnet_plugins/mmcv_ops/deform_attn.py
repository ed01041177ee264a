"""Multi-scale deformable attention, https://arxiv.org/abs/2010.04159. On CPUs mmcv has its own and asks for none.

Shapes: value (B, cells of all levels, heads, channels of a head), sampling_locations (B, queries, heads, levels,
points, 2) as x, y from 0 to 1, attention_weights (B, queries, heads, levels, points), output (B, queries, heads *
channels of a head).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


@torch.no_grad()
def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Sum the values at all sampled points, weighted.

    Args:
        value: The maps of all levels, one after the other.
        spatial_shapes: Height and width of each level, int64, (levels, 2).
        level_start_index: First cell of each level; known from the shapes.
        sampling_locations: Where each query looks.
        attention_weights: How much each point counts.
        im2col_step: A bound on mmcv's memory; not used.
    """
    return _attend(value, spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients by values, locations and weights into the last three tensors."""
    inputs = [tensor.detach().requires_grad_() for tensor in (value, sampling_locations, attention_weights)]
    with torch.enable_grad():
        output = _attend(inputs[0], spatial_shapes, *inputs[1:])
    gradients = torch.autograd.grad(output, inputs, grad_output)
    for place, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), gradients):
        place.copy_(gradient)


def _attend(value: Tensor, spatial_shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    queries, levels, points = weights.shape[1], *weights.shape[3:]
    shapes = spatial_shapes.tolist()
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # (levels, B * heads, queries, points, 2)
    sampled = []
    for cells, (height, width), grid in zip(value.split([h * w for h, w in shapes], 1), shapes, grids):
        maps = cells.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
        sampled.append(
            functional.grid_sample(maps, grid, align_corners=False)
        )  # (B * heads, channels, queries, points)
    by_point = torch.stack(sampled, 3).flatten(3)  # (B * heads, channels, queries, levels * points)
    by_head = weights.transpose(1, 2).reshape(batch * heads, 1, queries, levels * points)
    return (by_point * by_head).sum(3).view(batch, heads * channels, queries).transpose(1, 2).contiguous()
