"""The catalog of named weights."""

import os

from hrnet_plugins.weights import FORMATS, catalog


def test_catalog_rows_are_complete():
    for name, weight in catalog.CATALOG.items():
        assert weight.sources, name
        assert weight.score, name
        for source in weight.sources:
            assert source.url.startswith(('https://', 'hf://')), name
            assert not source.sha256 or int(source.sha256, 16) >= 0, name
            assert os.path.basename(source.file), name
        if weight.part == 'backbone':
            assert f'cls_{name}' in catalog.CATALOG


def test_formats_are_known():
    formats = {source.format for weight in catalog.CATALOG.values() for source in weight.sources}
    assert formats <= {'', *FORMATS}
