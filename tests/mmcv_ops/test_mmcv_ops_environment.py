"""Environments as they are made where there is no compiler: mmcv's Python part, and our operators in it."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT

COMMON = [f'{name}=={metadata.version(name)}' for name in ('torch', 'torchvision')]
STACKS = {
    'onedl': (['-e', f'{ROOT}[onedl]'], 'onedl-mmcv'),
    # What the extra names, with the wheel of mmcv that carries no compiled part; openmim needs pkg_resources.
    'openmmlab': (
        ['-e', str(ROOT), 'mmcv-lite==2.1.0', 'mmdet==3.3.0', 'mmengine==0.10.7', 'mmpretrain==1.2.0',
         'mmsegmentation==1.2.2', 'openmim==0.3.9', 'setuptools<81', 'ftfy', 'regex'],
        'mmcv-lite',
    ),
}  # fmt: skip
UV = shutil.which('uv') or shutil.which('uv', path=str(Path(sys.executable).parent))
IMPORTS = 'import mim, mmcv.ops, mmdet.models, mmengine, mmpretrain.models, mmseg.models'


@pytest.mark.slow
@pytest.mark.skipif(UV is None, reason='uv, which makes the environment, is not here')
@pytest.mark.parametrize('stack', STACKS)
def test_stack_without_a_compiler_trains_and_tests(stack, digits, digits_recipe, tmp_path):
    packages, mmcv = STACKS[stack]
    env = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    env |= dict(CC='/bin/false', CXX='/bin/false', OMP_NUM_THREADS='1')
    python, command = (str(tmp_path / 'env' / 'bin' / name) for name in ('python', 'hrnet-plugins'))

    def run(*args, cwd=tmp_path, status=0):
        done = subprocess.run(
            [*map(str, args)], check=False, cwd=cwd, env=env, capture_output=True, text=True, timeout=1200
        )
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout + done.stderr

    run(UV, 'venv', '--python', sys.executable, tmp_path / 'env')
    # OpenCV's headless build last: the other, which mmcv asks for, needs libGL.
    for group in ([*COMMON, *packages, 'pip', 'scikit-learn'], ['--reinstall', 'opencv-python-headless']):
        run(UV, 'pip', 'install', '--python', python, *group)
    checked, listed = run(python, '-m', 'pip', 'check'), run(python, '-W', 'ignore', '-m', 'mim', 'list')
    assert "No module named 'mmcv._ext'" in run(python, '-W', 'ignore', '-c', IMPORTS, status=1)

    assert 'operators: none' in run(command, 'mmcv-ops', 'status')
    assert f'{mmcv} ' in run(command, 'mmcv-ops', 'install')
    assert "operators: hrnet-plugins', up to date" in run(command, 'mmcv-ops', 'status')
    run(python, '-W', 'ignore', '-c', IMPORTS)
    assert run(python, '-m', 'pip', 'check') == checked
    assert run(python, '-W', 'ignore', '-m', 'mim', 'list') == listed
    assert mmcv in listed

    short = 'train_cfg.max_epochs=1 train_dataloader.dataset.indices=20 val_dataloader.dataset.indices=5'
    log = run(command, 'train', digits_recipe, '--work-dir', tmp_path / 'run', '--cfg-options', *short.split(),
              'default_hooks.logger.interval=1', cwd=digits)  # fmt: skip
    assert 'Epoch(train) [1][5/5]' in log
    run(command, 'test', digits_recipe, tmp_path / 'run' / 'epoch_1.pth', '--work-dir', tmp_path / 'test', '--out',
        tmp_path / 'found.pkl', '--cfg-options', 'test_dataloader.dataset.indices=5', cwd=digits)  # fmt: skip
    assert (tmp_path / 'found.pkl').stat().st_size > 0

    (module,) = (tmp_path / 'env').glob('lib/python*/site-packages/mmcv/_ext.py')
    run(UV, 'pip', 'uninstall', '--python', python, mmcv)
    assert not module.exists(), 'it goes with mmcv'
    assert 'Error: mmcv is not installed' in run(command, 'mmcv-ops', 'status', status=1)
