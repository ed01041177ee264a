"""PaddleClas: ``HRNet_W*_C`` of ``ppcls/arch/backbone/legendary_models/hrnet.py``.

``weights.pickles`` reads the files without Paddle. The ``SE_HRNet`` variants are refused, since they have keys that are
unknown here: those of their squeeze-and-excitation layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from hrnet_plugins.weights.formats.rows import linear, norm
from hrnet_plugins.weights.formats.spec import Component, Format, Row
from hrnet_plugins.weights.formats.values import TRANSPOSE_LINEAR

_NORM = dict(weight='weight', bias='bias', _mean='running_mean', _variance='running_var')


def _layer(source: str, conv: str, batch_norm: str) -> tuple[Row, ...]:
    """A convolution and its batch norm, PaddleClas's ``ConvBNLayer``."""
    return (Row(f'{source}._conv.weight', f'{conv}.weight'), *norm(f'{source}._batch_norm', batch_norm, _NORM))


def _sequential(source: str, target: str) -> tuple[Row, ...]:
    return _layer(source, f'{target}.0', f'{target}.1')


def _block(source: str, target: str, convs: int) -> tuple[Row, ...]:
    parts = (_layer(f'{source}.conv{i}', f'{target}.conv{i}', f'{target}.bn{i}') for i in range(1, convs + 1))
    return tuple(row for rows in parts for row in rows)


def _downsample(source: str, target: str) -> tuple[Row, ...]:
    return tuple(Row(r.source, r.target, True) for r in _sequential(f'{source}.conv_down', f'{target}.downsample'))


def _exchange(branches: int) -> Iterator[str]:
    """Names of the fuse layers of a module in the order in which PaddleClas numbers them."""
    for i in range(branches):
        for j in range(branches):
            if j > i:
                yield f'{i}.{j}'
            yield from (f'{i}.{j}.{k}' for k in range(i - j))


def _stage(number: int) -> tuple[Row, ...]:
    """Stage ``number``, which has ``number`` branches."""
    source, target = f'st{number}.stage_func_list.{{m{number}}}', f'stage{number}.{{m{number}}}'
    rows: list[Row] = []
    for branch in range(number):
        rows += _block(f'{source}.basic_block_list.{branch}.{{block}}', f'{target}.branches.{branch}.{{block}}', 2)
    for index, name in enumerate(_exchange(number)):
        rows += _sequential(f'{source}.fuse_func.residual_func_list.{index}', f'{target}.fuse_layers.{name}')
    return tuple(rows)


_COMPONENTS = (
    Component(
        'backbone',
        (
            *_layer('conv_layer1_1', 'backbone.conv1', 'backbone.bn1'),
            *_layer('conv_layer1_2', 'backbone.conv2', 'backbone.bn2'),
            *_block('layer1.{unit}', 'backbone.layer1.{unit}', 3),
            *_downsample('layer1.{unit}', 'backbone.layer1.{unit}'),
            *_sequential('tr1_1', 'backbone.transition1.0'),
            *_sequential('tr1_2', 'backbone.transition1.1.0'),
            *_sequential('tr2', 'backbone.transition2.2.0'),
            *_sequential('tr3', 'backbone.transition3.3.0'),
            *(Row(r.source, f'backbone.{r.target}', r.optional) for number in (2, 3, 4) for r in _stage(number)),
        ),
        required=True,
    ),
    Component(
        'classification head',
        (
            *_block('last_cls.func_list.{branch}', 'neck.0.increase_layers.{branch}.0', 3),
            *_downsample('last_cls.func_list.{branch}', 'neck.0.increase_layers.{branch}.0'),
            *_layer(
                'cls_head_conv_list.{step}',
                'neck.0.downsample_layers.{step}.conv',
                'neck.0.downsample_layers.{step}.bn',
            ),
            *_layer('conv_last', 'neck.0.final_layer.conv', 'neck.0.final_layer.bn'),
            *linear('out', 'head.fc'),
        ),
        required=True,
    ),
)

PADDLE = Format(
    'paddle',
    'PaddleClas (SSLD) .pdparams',
    _COMPONENTS,
    signature=('conv_layer1_1.*',),
    changes=(TRANSPOSE_LINEAR,),
    writable=False,
)
