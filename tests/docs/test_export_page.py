"""The programs on docs/export.md, with files of a small classifier in the place of W18's."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

import hrnet_plugins as hp
from tests.helpers.networks import TINY, extra_of, fill, fit_statistics, image
from tests.helpers.pages import blocks
from tests.helpers.paths import ROOT

BLOCKS = [block for block in blocks(ROOT / 'docs' / 'export.md') if block.test]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """A folder with what the programs read, and the logits that PyTorch gives for the picture."""
    folder = tmp_path_factory.mktemp('export')
    config = Config.fromfile(ROOT / 'configs' / 'cls' / 'hrnet' / 'hrnet-w18_100e_in1k.py')
    config.model.backbone.arch = extra_of(TINY)
    config.model.neck[0].update(in_channels=TINY.channels, out_channels=24, mid_channels=(8, 16, 24, 40))
    config.model.head.in_channels = 24
    config.dump(folder / 'w18.py')
    model = fit_statistics(fill(hp.create_model(folder / 'w18.py')), image((4, 3, 64, 64))).eval()
    torch.save(model.state_dict(), folder / 'w18.pth')
    for name, fmt in (('w18.onnx', 'onnx'), ('w18.xml', 'openvino')):
        hp.export(folder / 'w18.py', folder / 'w18.pth', format=fmt, out=folder / name)
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    cv2.imwrite(str(folder / 'picture.jpg'), picture)
    return folder, model


@pytest.mark.slow
def test_the_python_programs_run_and_prepare_as_the_recipe_does(files, monkeypatch, capsys):
    folder, model = files
    monkeypatch.chdir(folder)
    namespace = {}
    for block in BLOCKS:
        if block.language == 'python':
            exec(compile(block.code, 'docs/export.md', 'exec'), namespace)  # noqa: S102, it is ours
            ours = torch.from_numpy(namespace['logits'])
            with torch.no_grad():
                theirs = model(recipes_own(model, cv2.imread('picture.jpg')), mode='tensor')
            assert (ours - theirs).abs().max() <= 1e-3 * theirs.abs().max()
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == f'class {int(theirs.argmax())}'


def recipes_own(model, picture):
    """The picture as the recipe's test pipeline and data preprocessor give it to the model."""
    from mmengine.dataset import Compose  # noqa: PLC0415
    from mmpretrain.registry import TRANSFORMS  # noqa: PLC0415

    steps = [step for step in model.cfg.test_dataloader.dataset.pipeline if step.type != 'LoadImageFromFile']
    with TRANSFORMS.switch_scope_and_registry('mmpretrain'):
        packed = Compose([TRANSFORMS.build(step) for step in steps])(
            dict(img=picture, img_shape=picture.shape[:2], ori_shape=picture.shape[:2])
        )
    return model.data_preprocessor(dict(inputs=packed['inputs'][None]))['inputs']


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='there is no g++')
def test_the_cpp_program_compiles_and_runs(files):
    folder, _ = files
    (block,) = (block for block in BLOCKS if block.language == 'cpp')
    package = Path(find_spec('openvino').origin).parent
    (library,) = (package / 'libs').glob('libopenvino.so*')
    (folder / 'main.cpp').write_text(block.code)
    command = ['g++', '-std=c++17', '-D_GLIBCXX_USE_CXX11_ABI=1', 'main.cpp', f'-I{package / "include"}', str(library)]
    command += [f'-Wl,-rpath,{package / "libs"}', f'-Wl,-rpath-link,{package / "libs"}', '-o', 'main']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    ran = subprocess.run([folder / 'main', folder / 'w18.xml'], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith('class ')
    code = (
        'import sys, numpy, openvino\n'
        'pixels = (128 - numpy.array([123.675, 116.28, 103.53])) / numpy.array([58.395, 57.12, 57.375])\n'
        'image = numpy.broadcast_to(pixels.astype("f4")[None, :, None, None], (1, 3, 224, 224))\n'
        'run = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})\n'
        'print("class", int(run(numpy.ascontiguousarray(image))[0].argmax()))\n'
    )
    command = [sys.executable, '-c', code, folder / 'w18.xml']
    python = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == python.stdout
