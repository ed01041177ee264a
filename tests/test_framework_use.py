"""The rule that chooses what the second stack runs."""

import importlib.util
import sys

import pytest

from tests.helpers.framework_use import FRAMEWORKS, read, touches_frameworks

TOUCHES = {
    'a package': 'import mmcv\ndef test(): mmcv.imread("x")',
    'a part of one': 'from mmengine.config import Config\ndef test(): Config()',
    'in the body': 'def test():\n    from mmdet.registry import MODELS',
    'in a branch': 'def test():\n    if True:\n        import mim',
    'in a function': 'import mmcv\ndef test(): helper()\ndef helper(): other()\ndef other(): mmcv.imread("x")',
    'in a function of a function': 'import mmcv\ndef test():\n    def inner(): return mmcv',
    'in a class': 'import mmcv\nclass Hook(mmcv.Hook): pass\ndef test(): Hook()',
    'in a constant': 'import mmcv\nA = mmcv.A\nB = [A]\ndef test(): print(B)',
    'in an unpacked constant': 'import mmcv\na, (b, *c) = mmcv.three()\ndef test(): print(c)',
    'in a decorator': 'import mmcv, pytest\n@pytest.mark.parametrize("a", mmcv.ALL)\ndef test(a): pass',
    'in a fixture': 'import mmcv\n@pytest.fixture\ndef found(): return mmcv\ndef test(found): pass',
    'in a fixture by name': 'import mmcv\ndef found(): mmcv\n@pytest.mark.usefixtures("found")\ndef test(): pass',
    'in a fixture for all': 'import mmcv\n@pytest.fixture(autouse=True)\ndef found(): mmcv.a()\ndef test(): pass',
    'in a mark for all': 'import mmcv\npytestmark = pytest.mark.skipif(mmcv.a)\ndef test(): pass',
    'by another name': 'import mmcv as cv\ndef test(): cv.imread("x")',
    'by a string': 'def test(): importlib.import_module("mmdet.models")',
    'by a computed string': 'def test(): importlib.import_module(f"{name}.models")',
    'if it is there': 'def test(): pytest.importorskip("mmseg")',
    'in another program': 'import subprocess\ndef test(): subprocess.run(["true"])',
    'in another process': 'from torch import multiprocessing\ndef test(): multiprocessing.spawn(f)',
    'in a helper': 'from tests.helpers.frameworks import fcos\ndef test(): fcos("w18")',
    'in a module of helpers': 'from tests.helpers import frameworks\ndef test(): frameworks.fcos("w18")',
    'in a helper that starts programs': 'from tests.helpers.processes import run\ndef test(): run()',
    'in a benchmark': 'from benchmarks.inference.networks import networks\ndef test(): networks()',
    'in the product': 'from hrnet_plugins.recipes import model_of\ndef test(): model_of("a")',
    'in a subclass of the product': 'from hrnet_plugins.seg.heads import OCRHead\ndef test(): OCRHead()',
    'far behind the product': 'from hrnet_plugins import cli\ndef test(): cli.main()',
    'behind a package of the product': 'from hrnet_plugins.det import StuffMapsHook\ndef test(): StuffMapsHook()',
}
TOUCHES_NOT = {
    'nothing': 'def test(): pass',
    'another test': 'import mmcv\ndef test(): pass\ndef test_other(): mmcv.imread("x")',
    'another fixture': 'import mmcv\n@pytest.fixture\ndef found(): return mmcv\ndef test(): pass',
    'another package': 'import torch, numpy\ndef test(): torch.zeros(numpy.pi)',
    'another that may not be there': 'def test(): pytest.importorskip("pytorch_grad_cam")',
    'words': 'def test(): assert "mmdet" in "mmdet.models"',
    'the network': 'from hrnet_plugins.models import HRFPN, HRNet\ndef test(): HRNet("w18")',
    'the door of the product': 'from hrnet_plugins import ARCHS\ndef test(): ARCHS',
    'a helper': 'from tests.helpers.networks import TINY, fill\ndef test(): fill(TINY)',
    'a path': 'from tests.helpers.paths import ROOT\ndef test(): ROOT',
    'a fixture of all files': 'def test(digits): pass',
    'a circle': 'def test(): a()\ndef a(): b()\ndef b(): a()',
}


@pytest.mark.parametrize(
    ('code', 'touches'),
    [(code, True) for code in TOUCHES.values()] + [(code, False) for code in TOUCHES_NOT.values()],
    ids=[*TOUCHES, *TOUCHES_NOT],
)
def test_a_test_is_marked_by_what_it_reaches(code, touches, tmp_path):
    path = tmp_path / 'test_file.py'
    path.write_text(code)
    assert touches_frameworks(path, 'test') == touches


def test_fixtures_of_a_folder_count(monkeypatch, tmp_path):
    monkeypatch.setattr('tests.helpers.framework_use.ROOT', tmp_path)
    folder = tmp_path / 'tests' / 'room'
    folder.mkdir(parents=True)
    (tmp_path / 'tests' / 'conftest.py').write_text('import mmcv\ndef far(): mmcv\ndef neither(): pass')
    (folder / 'conftest.py').write_text('import mmcv\ndef near(): mmcv\ndef other(): pass')
    path = folder / 'test_file.py'
    for fixture, touches in (('near', True), ('far', True), ('other', False), ('neither', False)):
        read.cache_clear()
        path.write_text(f'def test({fixture}): pass')
        assert touches_frameworks(path, 'test') == touches
    read.cache_clear()


def test_without_the_mark_no_framework_is_there():
    assert all(sys.modules[name] is None for name in FRAMEWORKS)
    assert all(importlib.util.find_spec(name) is None for name in FRAMEWORKS)


def test_with_the_mark_they_are(request):
    import mmdet  # noqa: PLC0415

    assert 'frameworks' in request.keywords
    assert importlib.util.find_spec('mmdet').loader is mmdet.__loader__
