"""Changes of values between formats, with the reverse where there is one.

They work on a state dict that has OpenMMLab's keys. They replace entries of the dictionary in place, and never write
into a tensor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hrnet_plugins.state_dicts import State
from hrnet_plugins.weights.formats.spec import ValueChange

ABN_EPS = 1e-5
"""What InPlaceABN adds to the absolute value of a weight (``sync_bn/inplace_abn``)."""


def batch_norms(state: State) -> list[str]:
    """Names of the batch norms. They are recognised by their ``running_mean``."""
    return [key.removesuffix('.running_mean') for key in state if key.endswith('.running_mean')]


def fold_bias(state: State) -> list[str]:
    """Move the bias of a convolution into the mean of the batch norm after it.

    Exact in eval mode: ``norm(x + b)`` with mean ``m`` is ``norm(x)`` with mean ``m - b``. In training mode a batch
    norm removes its input's mean, so the bias has no effect.
    """
    folded = []
    for name in batch_norms(state):
        conv = name.removesuffix('bn') + 'conv'
        bias = state.pop(f'{conv}.bias', None) if name.endswith('.bn') else None
        if bias is not None:
            mean = state[f'{name}.running_mean']
            if bias.shape != mean.shape:
                raise ValueError(f'`{conv}.bias` has {len(bias)} numbers, and the batch norm after it {len(mean)}')
            state[f'{name}.running_mean'] = mean - bias.to(mean.dtype)
            folded.append(conv)
    return folded


def abs_gamma(state: State) -> list[str]:
    """Replace every batch norm weight by the number that InPlaceABN uses: ``|weight| + 1e-5``."""
    keys = [f'{name}.weight' for name in batch_norms(state)]
    for key in keys:
        state[key] = state[key].abs() + ABN_EPS
    return keys


_BOX_HEAD = re.compile(r'(roi_head\.bbox_head\.(?:\d+\.)?)fc_cls\.weight')
_MASK_LOGITS = re.compile(r'roi_head\.mask_head\.(?:\d+\.)?conv_logits\.(?:weight|bias)')


def background_last(state: State) -> list[str]:
    """Reorder classes from mmdet before 2.0 (background first) to mmdet now (background last).

    The background's row of ``fc_cls`` moves to the end. The background's box deltas and masks, which nothing uses, are
    removed. Class-agnostic heads have none.

    Raises:
        ValueError: If the number of rows of a head fits neither kind of head.
    """
    touched = []
    for head, classes in _box_heads(state):
        touched += _map(state, f'{head}fc_cls', lambda x: x.roll(-1, 0))
        rows = _entry(state, f'{head}fc_reg.weight').shape[0]
        if rows == 4 * classes:
            touched += _map(state, f'{head}fc_reg', lambda x: x[4:].clone())
        elif rows != 4:
            raise ValueError(_wrong_rows(head, rows, classes, 4 * classes))
    for key in _mask_logits(state):
        if state[key].shape[0] > 1:
            state[key] = state[key][1:].clone()
            touched.append(key)
    return touched


def background_first(state: State) -> list[str]:
    """Undo ``background_last``. The background's box deltas and masks become zeros.

    With a single class, class-agnostic heads and others have the same shapes. A head is then taken for class-agnostic
    in a cascade only, as all published cascades are.
    """
    touched = []
    most = 0
    for head, classes in _box_heads(state):
        most = max(most, classes)
        touched += _map(state, f'{head}fc_cls', lambda x: x.roll(1, 0))
        rows = _entry(state, f'{head}fc_reg.weight').shape[0]
        agnostic = rows == 4 and (classes > 2 or head != 'roi_head.bbox_head.')
        if not agnostic and rows != 4 * (classes - 1):
            raise ValueError(_wrong_rows(head, rows, classes, 4 * (classes - 1)))
        if not agnostic:
            touched += _map(state, f'{head}fc_reg', lambda x: torch.cat([torch.zeros_like(x[:4]), x]))
    for key in _mask_logits(state):
        if state[key].shape[0] > 1 or most == 2:
            state[key] = torch.cat([torch.zeros_like(state[key][:1]), state[key]])
            touched.append(key)
    return touched


def scalar_scale(state: State) -> list[str]:
    """Reshape FCOS's learnt scales from (1,) to ()."""
    return _reshape_scales(state, ())


def vector_scale(state: State) -> list[str]:
    """Reshape FCOS's learnt scales from () to (1,)."""
    return _reshape_scales(state, (1,))


def transpose_linear(state: State) -> list[str]:
    """Transpose the weight of the linear layer from Paddle's (in, out) to PyTorch's (out, in)."""
    if 'head.fc.weight' not in state:  # a backbone alone
        return []
    state['head.fc.weight'] = state['head.fc.weight'].t().contiguous()
    return ['head.fc.weight']


def _box_heads(state: State) -> Iterator[tuple[str, int]]:
    """The prefix of each box head, and its number of classes including the background."""
    for key in list(state):
        found = _BOX_HEAD.fullmatch(key)
        if found is not None:
            yield found[1], state[key].shape[0]


def _mask_logits(state: State) -> list[str]:
    return [key for key in state if _MASK_LOGITS.fullmatch(key)]


def _map(state: State, layer: str, function: Callable[[Tensor], Tensor]) -> list[str]:
    keys = [f'{layer}.weight', f'{layer}.bias']
    for key in keys:
        state[key] = function(_entry(state, key))
    return keys


def _entry(state: State, key: str) -> Tensor:
    if key not in state:
        raise ValueError(f'`{key}` is missing: the head is not whole')
    return state[key]


def _wrong_rows(head: str, rows: int, classes: int, expected: int) -> str:
    return (
        f'`{head}fc_reg.weight` has {rows} rows; {classes - 1} classes and the background in `fc_cls` need '
        f'{expected}, or 4 for a class-agnostic head: the file mixes models'
    )


def _reshape_scales(state: State, shape: tuple[int, ...]) -> list[str]:
    keys = [k for k, v in state.items() if re.fullmatch(r'bbox_head\.scales\.\d+\.scale', k) and v.shape != shape]
    for key in keys:
        state[key] = state[key].reshape(shape)
    return keys


FOLD_BIAS = ValueChange('folded', fold_bias)
"""It needs no reverse: converting back writes biases of zero, and the means keep what was folded into them."""
ABS_GAMMA = ValueChange('made_absolute', abs_gamma)
BACKGROUND_LAST = ValueChange('reordered', background_last, background_first)
SCALAR_SCALE = ValueChange('reshaped', scalar_scale, vector_scale)
SCALAR_SCALE_ON_READING = ValueChange('reshaped', scalar_scale)
"""For mmdet 1, which has written FCOS's scales as (1,) and as ()."""
TRANSPOSE_LINEAR = ValueChange('reshaped', transpose_linear)
