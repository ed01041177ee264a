"""The language of the formats' tables."""

import pytest

from hrnet_plugins.weights.formats.spec import Template


@pytest.mark.parametrize(
    ('template', 'key', 'bindings'),
    [
        ('a.{i}.b', 'a.12.b', {'i': 12}),
        ('a.{i}.b', 'a.b', None),
        ('a.{i}.{i}', 'a.2.2', {'i': 2}),
        ('a.{i}.{i}', 'a.2.3', None),
        ('a.{3*i+1}.*', 'a.7.b.c', {'i': 2, '*': 'b.c'}),
        ('a.{3*i+1}.*', 'a.6.b', None),
        ('a.*', 'a.', None),
        ('a.b', 'axb', None),
    ],
)
def test_templates(template, key, bindings):
    template = Template(template)
    assert template.match(key) == bindings
    assert bindings is None or template.fill(bindings) == key
