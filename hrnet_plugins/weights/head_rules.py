"""What holds between the layers of a neck or a head: one's inputs are another's outputs, and all have the same classes.

The keys are OpenMMLab's. Rules whose layers a model does not have say nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hrnet_plugins.state_dicts import State


@dataclass(frozen=True)
class Link:
    """A dimension of one layer's weight that is that of another, or a multiple of it.

    Args:
        layer: Pattern of the first layer's name; its groups fill ``other``.
        axis: Dimension of the first.
        other: Names of the other layer, of which the first that is there counts.
        other_axis: Its dimension.
        factors: What the other's may be multiplied by; empty for any whole number.
    """

    layer: str
    axis: int
    other: tuple[str, ...]
    other_axis: int = 0
    factors: tuple[int, ...] = (1,)


_FPN = ('neck.fpn_convs.0.conv', 'neck.reduction_conv.conv')
_BOX = r'(roi_head\.bbox_head(?:\.\d+)?)'
_MASK = r'(roi_head\.mask_head(?:\.\d+)?)'
_SEMANTIC = 'roi_head.semantic_head'
_PIXELS = r'((?:decode|auxiliary)_head(?:\.\d+)?)'
_OCR = r'(decode_head(?:\.\d+)?)'
_CONTEXT = _OCR + r'\.object_context_block'

LINKS = (
    Link(r'neck\.fpn_convs\.\d+\.conv', 1, ('neck.reduction_conv.conv',)),
    Link(r'neck\.fpn_convs\.\d+\.conv', 0, ('neck.fpn_convs.0.conv',)),
    Link(r'rpn_head\.rpn_conv', 1, _FPN),
    Link(r'rpn_head\.rpn_(?:cls|reg)', 1, ('rpn_head.rpn_conv',)),
    Link(r'rpn_head\.rpn_reg', 0, ('rpn_head.rpn_cls',), factors=(4,)),
    Link(_BOX + r'\.shared_fcs\.0', 1, _FPN, factors=()),
    Link(_BOX + r'\.fc_(?:cls|reg)', 1, (r'\1.shared_fcs.1', r'\1.shared_fcs.0')),
    Link(_MASK + r'\.convs\.0\.conv', 1, _FPN),
    Link(_MASK + r'\.upsample', 0, (r'\1.convs.3.conv', r'\1.convs.0.conv')),
    Link(_MASK + r'\.conv_logits', 1, (r'\1.upsample',), 1),
    Link(_MASK + r'\.conv_res\.conv', 0, (r'\1.convs.0.conv',), 1),
    Link(r'roi_head\.semantic_head\.lateral_convs\.\d+\.conv', 1, _FPN),
    Link(r'roi_head\.semantic_head\.convs\.0\.conv', 1, (f'{_SEMANTIC}.lateral_convs.0.conv',)),
    Link(r'roi_head\.semantic_head\.(?:conv_embedding\.conv|conv_logits)', 1, (f'{_SEMANTIC}.convs.0.conv',)),
    Link(r'bbox_head\.(?:cls|reg)_convs\.0\.conv', 1, _FPN),
    Link(r'bbox_head\.conv_cls', 1, ('bbox_head.cls_convs.0.conv',)),
    Link(r'bbox_head\.conv_(?:reg|centerness)', 1, ('bbox_head.reg_convs.0.conv',)),
    Link(_PIXELS + r'\.conv_seg', 1, (r'\1.object_context_block.bottleneck.conv', r'\1.convs.0.conv')),
    Link(_CONTEXT + r'\.(?:query_project\.0|key_project\.0|value_project)\.conv', 1, (r'\1.bottleneck.conv',)),
    Link(_CONTEXT + r'\.(query|key)_project\.1\.conv', 1, (r'\1.object_context_block.\2_project.0.conv',)),
    Link(_CONTEXT + r'\.key_project\.0\.conv', 0, (r'\1.object_context_block.query_project.0.conv',)),
    Link(_CONTEXT + r'\.out_project\.conv', 1, (r'\1.object_context_block.value_project.conv',)),
    Link(_CONTEXT + r'\.bottleneck\.conv', 1, (r'\1.object_context_block.out_project.conv',), factors=(2,)),
    Link(r'head\.fc', 1, ('neck.0.final_layer.conv',)),
)  # fmt: skip
"""Read after the values were changed, so that linear layers are (outputs, inputs) and the background is last."""

_CHAINS = re.compile(
    r'((?:bbox_head\.(?:cls|reg)_convs|roi_head\.mask_head(?:\.\d+)?\.convs|roi_head\.semantic_head\.convs'
    r'|(?:decode|auxiliary)_head(?:\.\d+)?\.convs))\.(\d+)\.conv\.weight'
)
"""Convolutions that run one after the other."""
_SHARED_FC = re.compile(r'(.*\.shared_fcs)\.(\d+)\.weight')

_FIXED = (
    (re.compile(r'bbox_head\.conv_reg\.weight'), 4, 'sides of a box'),
    (re.compile(r'bbox_head\.conv_centerness\.weight'), 1, 'centerness'),
)


def head_problems(state: State) -> list[str]:
    """One line for each contradiction inside the necks and heads of a model.

    Args:
        state: The whole model's entries, each with as many dimensions as its name says.
    """
    return list(dict.fromkeys((*_links(state), *_chains(state), *_outputs(state), *_classes(state))))


def _links(state: State) -> Iterator[str]:
    for link in LINKS:
        pattern = re.compile(link.layer + r'\.weight')
        for key, value in state.items():
            found = pattern.fullmatch(key)
            if found is None:
                continue
            names = (f'{found.expand(name)}.weight' for name in link.other)
            other = next((name for name in names if name in state), None)
            if other is None or other == key:
                continue
            have, base = value.shape[link.axis], state[other].shape[link.other_axis]
            if have not in [factor * base for factor in link.factors] and (link.factors or have % base):
                wanted = ' or '.join(str(factor * base) for factor in link.factors) or f'a multiple of {base}'
                side = 'outputs' if link.axis == 0 and not key.endswith('.upsample.weight') else 'inputs'
                yield f'{key}: {wanted} {side} expected after {other}, found {have}'


def _chains(state: State) -> Iterator[str]:
    for pattern, end in ((_CHAINS, '.conv.weight'), (_SHARED_FC, '.weight')):
        for key, value in state.items():
            found = pattern.fullmatch(key)
            before = state.get(f'{found[1]}.{int(found[2]) - 1}{end}') if found else None
            if before is not None and value.shape[1] != before.shape[0]:
                yield f'{key}: {before.shape[0]} inputs expected, found {value.shape[1]}'


def _outputs(state: State) -> Iterator[str]:
    for pattern, rows, what in _FIXED:
        for key, value in state.items():
            if pattern.fullmatch(key) and value.shape[0] != rows:
                yield f'{key}: {rows} outputs expected ({what}), found {value.shape[0]}'


def _classes(state: State) -> Iterator[str]:
    """Rows of all layers that have some for each class."""
    counts: dict[str, int] = {}
    for key, value in state.items():
        rows = value.shape[0] if value.dim() else 0
        if re.fullmatch(_BOX + r'\.fc_cls\.weight', key):
            counts[key] = rows - 1
        elif re.fullmatch(_MASK + r'\.conv_logits\.weight', key) and rows > 1:
            counts[key] = rows
        elif re.fullmatch(_BOX + r'\.fc_reg\.weight', key) and rows != 4:
            counts[key] = rows // 4
            if rows % 4:
                yield f'{key}: 4 outputs a class expected, found {rows}'
    yield from _differing(counts)
    pixels = r'(?:decode|auxiliary)_head(?:\.\d+)?\.conv_seg\.weight'
    yield from _differing({key: value.shape[0] for key, value in state.items() if re.fullmatch(pixels, key)})


def _differing(counts: dict[str, int]) -> Iterator[str]:
    if len(set(counts.values())) > 1:
        yield 'numbers of classes that differ: ' + ', '.join(f'{key} {count}' for key, count in counts.items())
