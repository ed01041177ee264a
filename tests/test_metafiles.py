"""Published numbers: where they are shown, and that the README shows the metafiles' own."""

import pytest

from hrnet_plugins.metafiles import published
from hrnet_plugins.recipes import recipes
from tools.recipe_tables import BLOCK, README, table, written


def test_every_recipe_has_its_row():
    assert set(published()) == set(recipes())
    for name, row in published().items():
        assert row.scores or row.note, f'{name}: no number, and no note that says why'


def test_readme_tables_are_the_metafiles():
    text = README.read_text()
    assert text == written(text), 'run `make readme`'


def test_readme_shows_every_folder():
    shown = {match['folder'] for match in BLOCK.finditer(README.read_text())}
    assert shown == {row.folder for row in published().values()}


def test_a_folder_with_many_kinds_of_scores_names_them():
    lines = table('det/official').splitlines()
    assert lines[0] == '| recipe | published |'
    assert '| `fcos_hrnetv2p-w40-6l-official_coco` | box AP (ms 3x) 42.6 |' in lines


def test_table_leaves_unreported_cells_empty():
    lines = table('det/faster_rcnn').splitlines()
    assert lines[0] == '| recipe | box AP | box AP (official) | box AP (mmdet 1) |'
    assert '| `faster-rcnn_hrnetv2p-w18_1x_coco` | 36.9 | 36.1 | |' in lines
    assert '| `faster-rcnn_hrnetv2p-w48_1x_coco` | | | 40.9 |' in lines
    with pytest.raises(ValueError, match='no metafile of `det/nothing`'):
        table('det/nothing')
