"""What holds for the entries of any model: each rule names an entry that breaks it, and no other."""

import re

import pytest
import torch

from hrnet_plugins.weights.entry_rules import dimension_problems, length_problems, value_problems
from hrnet_plugins.weights.head_rules import head_problems

SHAPES = {
    'neck.reduction_conv.conv.weight': (8, 30, 1, 1),
    'neck.fpn_convs.0.conv.weight': (8, 8, 3, 3),
    'neck.fpn_convs.1.conv.weight': (8, 8, 3, 3),
    'rpn_head.rpn_conv.weight': (8, 8, 3, 3),
    'rpn_head.rpn_cls.weight': (3, 8, 1, 1),
    'rpn_head.rpn_reg.weight': (12, 8, 1, 1),
    'roi_head.bbox_head.shared_fcs.0.weight': (16, 8 * 49),
    'roi_head.bbox_head.shared_fcs.1.weight': (16, 16),
    'roi_head.bbox_head.fc_cls.weight': (6, 16),
    'roi_head.bbox_head.fc_reg.weight': (20, 16),
    'roi_head.mask_head.convs.0.conv.weight': (8, 8, 3, 3),
    'roi_head.mask_head.convs.1.conv.weight': (8, 8, 3, 3),
    'roi_head.mask_head.upsample.weight': (8, 8, 2, 2),
    'roi_head.mask_head.conv_logits.weight': (5, 8, 1, 1),
    'bbox_head.reg_convs.0.conv.weight': (8, 8, 3, 3),
    'bbox_head.conv_reg.weight': (4, 8, 3, 3),
    'bbox_head.conv_centerness.weight': (1, 8, 3, 3),
    'decode_head.1.object_context_block.query_project.0.conv.weight': (4, 8, 1, 1),
    'decode_head.1.object_context_block.key_project.0.conv.weight': (4, 8, 1, 1),
    'decode_head.1.object_context_block.bottleneck.conv.weight': (8, 16, 1, 1),
    'decode_head.1.object_context_block.out_project.conv.weight': (8, 4, 1, 1),
    'decode_head.1.bottleneck.conv.weight': (8, 30, 3, 3),
    'decode_head.0.conv_seg.weight': (19, 30, 1, 1),
    'decode_head.1.conv_seg.weight': (19, 8, 1, 1),
}
BROKEN = {
    ('neck.fpn_convs.1.conv.weight', (9, 8, 3, 3)): '8 outputs expected after neck.fpn_convs.0.conv.weight, found 9',
    ('neck.fpn_convs.1.conv.weight', (8, 9, 3, 3)): '8 inputs expected after neck.reduction_conv.conv.weight, found 9',
    ('rpn_head.rpn_conv.weight', (8, 9, 3, 3)): '8 inputs expected after neck.fpn_convs.0.conv.weight, found 9',
    ('rpn_head.rpn_reg.weight', (13, 8, 1, 1)): '12 outputs expected after rpn_head.rpn_cls.weight, found 13',
    ('roi_head.bbox_head.shared_fcs.0.weight', (16, 393)): 'a multiple of 8 inputs expected after neck.fpn_convs.0',
    ('roi_head.bbox_head.shared_fcs.1.weight', (16, 17)): '16 inputs expected, found 17',
    ('roi_head.bbox_head.fc_reg.weight', (21, 16)): '4 outputs a class expected, found 21',
    ('roi_head.bbox_head.fc_reg.weight', (24, 16)): 'numbers of classes that differ: .*fc_cls.weight 5, .*fc_reg.* 6',
    ('roi_head.mask_head.convs.1.conv.weight', (8, 9, 3, 3)): '8 inputs expected, found 9',
    ('roi_head.mask_head.upsample.weight', (9, 8, 2, 2)): '8 inputs expected after .*convs.0.conv.weight, found 9',
    ('roi_head.mask_head.conv_logits.weight', (7, 8, 1, 1)): 'numbers of classes that differ: .*conv_logits.weight 7',
    ('bbox_head.conv_reg.weight', (5, 8, 3, 3)): r'4 outputs expected \(sides of a box\), found 5',
    ('bbox_head.conv_centerness.weight', (2, 8, 3, 3)): r'1 outputs expected \(centerness\), found 2',
    ('decode_head.1.object_context_block.bottleneck.conv.weight', (8, 17, 1, 1)): '16 inputs expected after .*out_proj',
    ('decode_head.1.conv_seg.weight', (21, 8, 1, 1)): 'numbers of classes that differ: .*0.conv_seg.weight 19, .* 21',
}


def state_of(shapes):
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


def test_a_whole_head_breaks_no_rule():
    assert head_problems(state_of(SHAPES)) == []
    assert dimension_problems(state_of(SHAPES)) == []


@pytest.mark.parametrize(('change', 'message'), BROKEN.items(), ids=[' '.join(map(str, change)) for change in BROKEN])
def test_layers_that_do_not_follow_each_other_are_named(change, message):
    problems = '\n'.join(head_problems(state_of({**SHAPES, change[0]: change[1]})))
    assert re.search(message, problems), problems


@pytest.mark.parametrize('missing', SHAPES)
def test_rules_say_nothing_of_layers_that_are_not_there(missing):
    assert head_problems(state_of({key: shape for key, shape in SHAPES.items() if key != missing})) == []


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        ({'a.fc.weight': torch.zeros(3, 4, 1, 1)}, 'a.fc.weight: 2 dimensions expected, found shape (3, 4, 1, 1)'),
        ({'a.conv.weight': torch.zeros(3, 4)}, 'a.conv.weight: 4 dimensions expected, found shape (3, 4)'),
        ({'a.conv.weight': torch.zeros(0, 4, 1, 1)}, 'a.conv.weight: 4 dimensions expected, found shape (0, 4, 1, 1)'),
        ({'a.bn.weight': torch.zeros(3, 1)}, 'a.bn.weight: 1 dimensions expected, found shape (3, 1)'),
        ({'a.bias': torch.zeros(())}, 'a.bias: 1 dimensions expected, found shape ()'),
        ({'scales.0.scale': torch.zeros(2, 2)}, 'scales.0.scale: 0 or 1 dimensions expected, found shape (2, 2)'),
        (
            {'a.num_batches_tracked': torch.zeros(2, 2)},
            'a.num_batches_tracked: 0 or 1 dimensions expected, found shape (2, 2)',
        ),
    ],
    ids=lambda value: value.partition(':')[0] if isinstance(value, str) else '',
)  # fmt: skip
def test_dimensions(entries, message):
    assert dimension_problems(entries) == [message]


def test_what_nobody_knows_may_have_any_dimensions():
    assert dimension_problems({'head.table': torch.zeros(1, 2, 3), 'backbone.x.weight': torch.zeros(7)}) == []


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('a.num_batches_tracked', torch.tensor(-1), 'a number of batches expected, found torch.int64 -1'),
        ('a.num_batches_tracked', torch.tensor(True), 'a number of batches expected, found torch.bool True'),
        ('a.weight', torch.tensor([1, 2]), 'floating point expected, found torch.int64'),
        ('a.weight', torch.tensor([1.0, float('nan'), float('inf')]), '2 of 3 are NaN or infinite'),
        ('a.running_var', torch.tensor([1.0, -1]), '1 of 2 variances are negative'),
    ],
)
def test_values(key, value, message):
    assert value_problems({key: value}) == [f'{key}: {message}']
    assert value_problems({key: value.to('meta')}) == []


def test_lengths():
    state = {
        'a.conv.weight': torch.zeros(3, 2, 1, 1),
        'a.conv.bias': torch.zeros(4),
        'a.bn.weight': torch.zeros(5),
        'm.upsample.weight': torch.zeros(2, 6, 2, 2),
        'm.upsample.bias': torch.zeros(6),
    }
    assert length_problems(state, name=lambda key: f'<{key}>') == [
        '<a.conv.bias>: 3 expected as in <a.conv.weight>, found 4',
        '<a.bn.weight>: 3 expected, one an output before it, found 5',
    ]
