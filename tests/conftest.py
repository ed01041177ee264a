"""Shared fixtures, and the mark of the tests that the second stack runs too."""

import gc
import shutil
import sys

import pytest
from filelock import FileLock
from mmengine.registry import DefaultScope

from projects.digits.data import build
from tests.helpers.framework_use import FRAMEWORKS, touches_frameworks
from tests.helpers.paths import ROOT
from tests.helpers.processes import run
from tests.helpers.upstream import register_upstreams


def pytest_collection_modifyitems(items):
    """Mark what touches the OpenMMLab packages, decided from its imports; begin with what takes longest."""
    for item in items:
        if touches_frameworks(item.path, item.cls.__name__ if item.cls else item.originalname):
            item.add_marker('frameworks')
    # First and side by side, so that one process trains the demo and uses it while the others do something else.
    items.sort(key=lambda item: 'demo' not in item.fixturenames)


@pytest.fixture(autouse=True)
def _no_framework_unless_marked(request, monkeypatch):
    """A test without the mark cannot import a framework: the mark misses none."""
    if 'frameworks' not in request.keywords:
        for name in FRAMEWORKS:
            monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope='module', autouse=True)
def _survivors_left_out_of_garbage_collection():
    """What lives on after a file's tests is not searched for garbage again.

    That is above all imported modules, millions of objects with all frameworks. Those call ``gc.collect`` themselves,
    mmengine for each data set, which took over a second each time at the end of a run.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_default_scope():
    """Each test starts without a default scope: one that a framework was asked for earlier would hide the others."""
    DefaultScope._instance_dict.clear()


@pytest.fixture(autouse=True)
def _configs_as_they_are(monkeypatch):
    """Print configs without yapf: it changes their layout alone, and a runner prints its own five times.

    That took three quarters of a training of two steps. What runs as a program of its own still has it.
    """
    for module in ('yapf.yapflib.yapf_api', 'mmengine.config.config'):  # imported from the first, or kept in the second
        monkeypatch.setattr(f'{module}.FormatCode', lambda text, **_: (text, True), raising=False)


@pytest.fixture(scope='session')
def once(tmp_path_factory, worker_id):
    """A function that has a folder filled once for all processes of a test run, by the first that asks for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == 'master' else base.parent

    def folder(name, fill):
        found, done = shared / name, shared / f'{name}.done'
        with FileLock(f'{found}.lock'):
            if not done.exists():
                shutil.rmtree(found, ignore_errors=True)  # what a failed attempt left
                found.mkdir()
                fill(found)
                done.touch()
        return found

    return folder


@pytest.fixture(scope='session')
def digits(once, tmp_path_factory):
    """A folder to run in, with the digits dataset in ``data/digits`` as the digits recipes expect it."""
    folder = tmp_path_factory.mktemp('digits')
    (folder / 'data').mkdir()
    (folder / 'data' / 'digits').symlink_to(once('digits', lambda found: build(found / 'data')) / 'data')
    return folder


@pytest.fixture(scope='session')
def demo(once):
    """What ``make demo`` leaves in ``demo``, and what it printed, in ``printed.txt``. Minutes, for slow tests alone."""

    def train(folder):
        printed = run(folder, folder / 'demo', module='projects.digits.demo', timeout=3000)
        (folder / 'printed.txt').write_text(printed)

    return once('demo', train)


@pytest.fixture
def upstreams_names():
    """Upstream's classes behind their own names, whatever imported the drop-in in this process before."""
    register_upstreams()


@pytest.fixture(scope='session')
def digits_recipe():
    """The recipe that the demo trains."""
    return ROOT / 'projects' / 'digits' / 'faster-rcnn_hrnetv2p-w18-small-v1_6e_digits.py'


@pytest.fixture(scope='session')
def digits_classifier():
    """The classification recipe of the digits project."""
    return ROOT / 'projects' / 'digits' / 'hrnet-w18-small-v1_5e_digits.py'
