"""What is recorded of the operators' speed beside mmcv's compiled ones."""

import json

import pytest

from benchmarks.mmcv_ops import measure

RESULTS = json.loads((measure.HERE / 'results.json').read_text())


@pytest.mark.parametrize('name', RESULTS['results'])
def test_as_fast_as_said(name):
    row = RESULTS['results'][name]
    assert row['speed'] >= 0.9
    assert row['speed'] == pytest.approx(row['compiled_ms'] / row['ours_ms'], rel=0.15), 'medians agree'


def test_page_is_what_was_recorded():
    assert measure.table(RESULTS['results']) in (measure.HERE / 'README.md').read_text()
    assert 'dirty' not in RESULTS['commit']
    assert {'torch', 'torchvision', 'mmcv'} <= RESULTS['environment']['versions'].keys()
    for count in ('1,000', '20,000'):
        assert any(f'nms, {count} boxes' in name for name in RESULTS['results'])
    for side in (7, 14):
        for direction in ('forward', 'backward'):
            assert f'roi_align, {side}x{side}, {direction}' in RESULTS['results']
