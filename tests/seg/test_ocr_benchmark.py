"""The comparison of the OCR heads: how it counts its runs, and that its page shows what was recorded."""

import json

import pytest

from benchmarks.ocr_head import measure


def test_page_shows_the_results():
    results = json.loads((measure.HERE / 'results.json').read_text())['results']
    page = (measure.HERE / 'README.md').read_text()
    assert measure.TABLE.search(page)[0] == measure.table(results)
    counted = all('runs' in found for found in results.values())
    assert ('rest on one run' in page) != counted, 'the sentence is for the recording that has no counts'


def test_table_has_the_counts_where_there_are_some():
    results = {'A / ocr / test / hrnet_plugins': dict(ms=1500.0, peak_mib=50, runs=3)}
    results['A / ocr / test / mmseg'] = dict(ms=3000.0, peak_mib=200, runs=2)
    head, _, row = measure.table(results).splitlines()
    assert head.endswith('| timed runs |')
    assert row == '| A, `ocr`, test | 1.50 | 3.00 | 0.50 | 50 | 200 | 0.25 | 3, 2 |'


@pytest.mark.parametrize(('seconds', 'runs'), [(0.01, 3), (14, 3), (16, 2), (50, 2)])
def test_two_runs_or_three_after_one_that_is_not_timed(seconds, runs, monkeypatch):
    clock = [0.0]

    def run():
        clock.append(clock[-1] + (seconds if len(clock) > 1 else 1000))

    monkeypatch.setattr(measure, 'step', lambda *args: run)
    monkeypatch.setattr(measure.time, 'process_time', lambda: clock[-1])
    monkeypatch.setattr(measure.torch, 'set_num_threads', lambda count: None)
    monkeypatch.setattr(measure.torch.cuda, 'is_available', lambda: False)
    found = measure.measure('mmseg', 'ocr', 'test', '520x520, 171 classes')
    assert (found['ms'], found['runs']) == (seconds * 1e3, runs)
    assert len(clock) - 1 == 1 + runs
