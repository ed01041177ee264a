"""The commands of the page on installing with pip, as they are printed, in fresh environments."""

import re
import shutil
import subprocess

import pytest

from tests.helpers.paths import ROOT
from tests.helpers.processes import run

PYTHONS = ('3.10', '3.11', '3.12', '3.13')
FEW = ['train_dataloader.dataset.indices=4', 'val_dataloader.dataset.indices=2', 'train_cfg.max_epochs=1']
FEW += ['default_hooks.logger.interval=1']


def blocks():
    """The blocks of commands of the section."""
    page = (ROOT / 'docs' / 'install.md').read_text()
    section = re.search(r'^## With pip$(.*?)^## ', page, re.DOTALL | re.MULTILINE)[1]
    return re.findall(r'```bash\n(.*?)```', section, re.DOTALL)


def interpreter(version):
    """The path of a Python, found as the set-up finds it."""
    finds = 'source <(sed -n "/^version_of()/,/^}/p; /^find_python()/,/^}/p" requirements/setup.sh); find_python "$1"'
    done = subprocess.run(
        ['/bin/bash', '-c', finds, 'bash', version], check=False, cwd=ROOT, capture_output=True, text=True
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f'Python {version} is not on this machine')
    return done.stdout.strip()


@pytest.fixture
def fresh(tmp_path, request):
    """A function that runs commands in a new environment of a Python, as a user's shell that has activated it."""
    venv = tmp_path / 'venv'
    subprocess.run([interpreter(request.param), '-m', 'venv', venv], check=True)

    def shell(commands, folder=ROOT):
        script = f'set -e\nunset PYTHONPATH\n. "{venv}/bin/activate"\ncd "{folder}"\n{commands}'
        done = subprocess.run(['/bin/bash', '-c', script], check=False, capture_output=True, text=True, timeout=3000)
        assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
        return done.stdout + done.stderr

    yield shell
    shutil.rmtree(venv)  # gigabytes, which pytest would keep


def test_the_section_has_the_commands_that_are_tested():
    plain, *stacks = blocks()
    assert plain == 'pip install .\n'
    assert [re.search(r"'\.\[(\w+)\]'", block)[1] for block in stacks] == ['onedl', 'openmmlab']


@pytest.mark.install
@pytest.mark.parametrize(('fresh', 'stack'), [
    pytest.param(version, stack, id=f'{stack}-{version}') for stack in ('onedl', 'openmmlab') for version in PYTHONS
], indirect=['fresh'])  # fmt: skip
def test_the_commands_work_as_printed(fresh, stack, digits, digits_recipe, tmp_path):
    (commands,) = (block for block in blocks() if f'[{stack}]' in block)
    # Compiled ones are there where pip kept a wheel that it made before.
    assert re.search("now has operators on torchvision's|has compiled operators already", fresh(commands))
    fresh(blocks()[0])  # into an environment that has the stack
    fresh('pip check')
    assert 'faster-rcnn_hrnetv2p-w18_1x_coco' in fresh('hrnet-plugins list')
    work = tmp_path / 'work'
    options = f'--work-dir "{work}" --cfg-options {" ".join(FEW)}'
    assert 'loss_bbox' in fresh(f'hrnet-plugins train "{digits_recipe}" {options}', digits)
    assert (work / 'epoch_1.pth').exists()


@pytest.mark.slow
def test_an_environment_that_has_the_stack_keeps_its_operators(tmp_path):
    said = run(tmp_path, 'mmcv-ops', 'status', module='hrnet_plugins.cli')
    assert re.search(r'operators: (compiled|.*up to date)', said)
