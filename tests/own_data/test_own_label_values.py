"""`FolderDataset` with values of the user's own: numbers, colours, values that are no label, and lists of pairs."""

import numpy as np
import pytest
from PIL import Image

from hrnet_plugins.seg import FolderDataset, LoadLabels

VALUES = np.array([[3, 3, 700], [9, 0, 3]])
COLOURS = {3: (10, 20, 30), 700: (0, 0, 1), 9: (255, 255, 255), 0: (1, 0, 0)}
LABELS = np.array([[0, 0, 1], [255, 2, 0]])


def dataset(folder, **options):
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(folder / 'picture.jpg')
    (folder / 'list.txt').write_text('picture.jpg\tlabels.png\n')
    options = {'label_values': [3, 700, 0], 'ignored': [9], **options}
    return FolderDataset(
        data_root=str(folder),
        ann_file='list.txt',
        metainfo=dict(classes=('a', 'b', 'c')),
        pipeline=[dict(type='LoadImageFromFile'), LoadLabels()],
        **options,
    )


@pytest.fixture(autouse=True)
def _mmseg():
    from mmengine.registry import DefaultScope  # noqa: PLC0415

    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def write(folder, coloured):
    if coloured:
        array = np.array([[COLOURS[int(value)] for value in row] for row in VALUES], np.uint8)
    else:
        array = VALUES.astype(np.uint16)
    Image.fromarray(array).save(folder / 'labels.png')


@pytest.mark.parametrize('coloured', [False, True])
def test_values_become_labels(tmp_path, coloured):
    write(tmp_path, coloured)
    options = dict(label_values=[COLOURS[3], COLOURS[700], COLOURS[0]], ignored=[COLOURS[9]]) if coloured else {}
    assert np.array_equal(dataset(tmp_path, **options)[0]['gt_seg_map'], LABELS)


def test_unknown_colour_is_named(tmp_path):
    write(tmp_path, coloured=True)
    made = dataset(tmp_path, label_values=[COLOURS[3], COLOURS[700], COLOURS[0]], ignored=[])
    message = r'labels\.png holds the value \(255, 255, 255\), which is no label .*3 colours'
    with pytest.raises(ValueError, match=message):
        made[0]


def test_values_where_colours_are_expected_are_named(tmp_path):
    write(tmp_path, coloured=False)
    made = dataset(tmp_path, label_values=[COLOURS[3], COLOURS[700], COLOURS[0]], ignored=[])
    with pytest.raises(ValueError, match='one colour a pixel, not values'):
        made[0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(label_values=[1, 2]), '`label_values` has 2 values for 3 classes'),
        (dict(label_values=[1, 2, (1, 2, 3)]), 'all numbers or all colours'),
    ],
)
def test_wrong_values_are_refused(tmp_path, options, message):
    write(tmp_path, coloured=False)
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path, **options)
