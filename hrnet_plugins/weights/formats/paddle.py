"""PaddleClas: ``HRNet_W*_C``, of release 2.2 and later, and of 2.0 and 2.1, whose names differ.

Sources: ``ppcls/arch/backbone/legendary_models/hrnet.py`` and ``ppcls/modeling/architectures/hrnet.py``.
``weights.pickles`` reads the files without Paddle. The ``SE_HRNet`` variants are refused, since they have keys that are
unknown here: those of their squeeze-and-excitation layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hrnet_plugins.weights.formats.rows import linear, norm
from hrnet_plugins.weights.formats.spec import Component, Format, Row
from hrnet_plugins.weights.formats.values import TRANSPOSE_LINEAR

_NORM = dict(weight='weight', bias='bias', _mean='running_mean', _variance='running_var')

Layer = Callable[[str, str, str], tuple[Row, ...]]
"""Rows of a convolution and its batch norm, a ``ConvBNLayer``, from its name there and the two names here."""


def _layers(conv_name: str, norm_name: str) -> Layer:
    def layer(source: str, conv: str, batch_norm: str) -> tuple[Row, ...]:
        return (
            Row(f'{source}.{conv_name}.weight', f'{conv}.weight'),
            *norm(f'{source}.{norm_name}', batch_norm, _NORM),
        )

    return layer


def _sequential(layer: Layer, source: str, target: str) -> tuple[Row, ...]:
    return layer(source, f'{target}.0', f'{target}.1')


def _block(layer: Layer, source: str, target: str, convs: int) -> tuple[Row, ...]:
    """A residual block, which has a ``downsample`` where it changes the number of channels."""
    rows = [
        row for i in range(1, convs + 1) for row in layer(f'{source}.conv{i}', f'{target}.conv{i}', f'{target}.bn{i}')
    ]
    if convs == 3:
        down = _sequential(layer, f'{source}.conv_down', f'{target}.downsample')
        rows += [Row(row.source, row.target, True) for row in down]
    return tuple(rows)


def _exchange(branches: int) -> Iterator[tuple[int, ...]]:
    """Targets, sources and, of finer sources, steps of the layers of an exchange, in PaddleClas's order."""
    for i in range(branches):
        for j in range(branches):
            if j > i:
                yield i, j
            yield from ((i, j, k) for k in range(i - j))


def _stage(
    layer: Layer, number: int, *, block: Callable[[int], str], exchange: Callable[[int, tuple[int, ...]], str]
) -> tuple[Row, ...]:
    """Stage ``number``, which has ``number`` branches.

    Args:
        layer: See ``Layer``.
        number: 2 to 4.
        block: The name of a residual block of a branch, from the branch.
        exchange: The name of a layer of the exchange, from its place in the order and from what ``_exchange`` says.
    """
    target = f'backbone.stage{number}.{{m{number}}}'
    rows: list[Row] = []
    for i in range(number):
        rows += _block(layer, block(i), f'{target}.branches.{i}.{{block}}', 2)
    for place, indices in enumerate(_exchange(number)):
        rows += _sequential(layer, exchange(place, indices), f'{target}.fuse_layers.{".".join(map(str, indices))}')
    return tuple(rows)


def _components(
    layer: Layer,
    *,
    layer1: tuple[str, ...],
    transitions: tuple[str, str, str, str],
    stages: Callable[[int], tuple[Row, ...]],
    head: tuple[str, str, str],
) -> tuple[Component, ...]:
    """The table of a release, from the names of its parts; ``head`` is its blocks, its steps down, its classifier."""
    targets = ('transition1.0', 'transition1.1.0', 'transition2.2.0', 'transition3.3.0')
    blocks, step, classifier = head
    of_layer1 = [row for name in layer1 for row in _block(layer, name, 'backbone.layer1.{unit}', 3)]
    down = 'neck.0.downsample_layers.{step}'
    return (
        Component(
            'backbone',
            (
                *layer('conv_layer1_1', 'backbone.conv1', 'backbone.bn1'),
                *layer('conv_layer1_2', 'backbone.conv2', 'backbone.bn2'),
                *(Row(row.source, row.target, True) for row in of_layer1),  # under one of the names
                *(r for s, t in zip(transitions, targets) for r in _sequential(layer, s, f'backbone.{t}')),
                *(row for number in (2, 3, 4) for row in stages(number)),
            ),
            required=True,
        ),
        Component('widening of the branches', _block(layer, blocks, 'neck.0.increase_layers.{branch}.0', 3)),
        Component(
            'fusion of the branches',
            (
                *layer(step, f'{down}.conv', f'{down}.bn'),
                *layer('conv_last', 'neck.0.final_layer.conv', 'neck.0.final_layer.bn'),
            ),
        ),
        Component('classifier', linear(classifier, 'head.fc')),
    )


def _stages_2_2(number: int) -> tuple[Row, ...]:
    module = f'st{number}.stage_func_list.{{m{number}}}'
    return _stage(
        _layers('conv', 'bn'),
        number,
        block=lambda branch: f'{module}.basic_block_list.{branch}.{{block}}',
        exchange=lambda place, _: f'{module}.fuse_func.residual_func_list.{place}',
    )


def _stages_2_0(number: int) -> tuple[Row, ...]:
    """Counted from 1, with the stage's own name repeated in its parts."""
    name = f'st{number}_{{m{number}+1}}'
    module = f'st{number}.stage_{name}'
    return _stage(
        _layers('_conv', '_batch_norm'),
        number,
        block=lambda branch: f'{module}.branches_func.bb_{name}_branch_layer_{branch + 1}_{{block+1}}',
        exchange=lambda _, indices: f'{module}.fuse_func.residual_{name}_layer_{"_".join(str(i + 1) for i in indices)}',
    )


PADDLE = Format(
    'paddle',
    'PaddleClas 2.2 and later (SSLD) .pdparams',
    _components(
        _layers('conv', 'bn'),
        layer1=('layer1.{unit}',),
        transitions=('conv_tr1_1', 'conv_tr1_2', 'conv_tr2', 'conv_tr3'),
        stages=_stages_2_2,
        head=('last_cls.func_list.{branch}', 'cls_head_conv_list.{step}', 'fc'),
    ),
    signature=('conv_layer1_1.conv.*',),
    changes=(TRANSPOSE_LINEAR,),
    writable=False,
)

PADDLE_2_0 = Format(
    'paddle-2.0',
    'PaddleClas 2.0 and 2.1 .pdparams',
    _components(
        _layers('_conv', '_batch_norm'),
        layer1=('la1.bb_layer2_{unit+1}', 'la1.bb_layer1_{unit+1}'),
        transitions=(
            'tr1.transition_tr1_layer_1',
            'tr1.transition_tr1_layer_2',
            'tr2.transition_tr2_layer_3',
            'tr3.transition_tr3_layer_4',
        ),
        stages=_stages_2_0,
        head=('last_cls.conv_cls_head_conv_{branch+1}', 'cls_head_add{step+1}', 'out'),
    ),
    signature=('conv_layer1_1._conv.*',),
    changes=(TRANSPOSE_LINEAR,),
    writable=False,
)
