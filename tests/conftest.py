"""Shared fixtures, and the mark of the tests that the second stack runs too."""

import sys

import pytest
from mmengine.registry import DefaultScope

from projects.digits.data import build
from tests.helpers.framework_use import FRAMEWORKS, touches_frameworks
from tests.helpers.paths import ROOT


def pytest_collection_modifyitems(items):
    """Mark what touches the OpenMMLab packages, decided from its imports."""
    for item in items:
        if touches_frameworks(item.path, item.cls.__name__ if item.cls else item.originalname):
            item.add_marker('frameworks')


@pytest.fixture(autouse=True)
def _no_framework_unless_marked(request, monkeypatch):
    """A test without the mark cannot import a framework: the mark misses none."""
    if 'frameworks' not in request.keywords:
        for name in FRAMEWORKS:
            monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(autouse=True)
def _own_default_scope():
    """Each test starts without a default scope: one that a framework was asked for earlier would hide the others."""
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A folder to run in, with the digits dataset in ``data/digits`` as the digits recipes expect it."""
    folder = tmp_path_factory.mktemp('digits')
    (folder / 'data').mkdir()
    build(folder / 'data' / 'digits')
    return folder


@pytest.fixture(scope='session')
def digits_recipe():
    """The recipe that the demo trains."""
    return ROOT / 'projects' / 'digits' / 'faster-rcnn_hrnetv2p-w18-small-v1_6e_digits.py'


@pytest.fixture(scope='session')
def digits_classifier():
    """The classification recipe of the digits project."""
    return ROOT / 'projects' / 'digits' / 'hrnet-w18-small-v1_5e_digits.py'
