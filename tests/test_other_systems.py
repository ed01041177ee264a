"""Importing any module of the package does nothing that only Linux can, as far as Linux can tell."""

import pytest

from tests.helpers.processes import run

# What the package stands on first: that it imports on other systems is its own business. Then, without what macOS or
# Windows lack, the package itself.
SCRIPT = """
import importlib, os, pkgutil, sys

import click, filelock, huggingface_hub, rich.console, rich.progress, safetensors.torch, torch, torchvision, yaml
import mmcv.ops, mmdet.models, mmengine.runner, mmpretrain.models, mmseg.models, mim
import torch.export, torch.fx, torch._inductor.utils
for name in ('onnx', 'onnxruntime', 'openvino', 'onnxscript'):
    importlib.import_module(name)

for name in 'fork forkpty getuid geteuid register_at_fork sched_getaffinity sysconf uname link'.split():
    if hasattr(os, name):
        delattr(os, name)
for name in ('fcntl', 'grp', 'posix', 'pty', 'pwd', 'resource', 'termios'):
    sys.modules[name] = None

def refuse(event, args):
    if event == 'open' and str(args[0]).startswith(('/proc/', '/sys/', '/dev/shm')):
        raise RuntimeError(f'{args[0]} was read by an import')

sys.addaudithook(refuse)
import hrnet_plugins

names = [found.name for found in pkgutil.walk_packages(hrnet_plugins.__path__, 'hrnet_plugins.')]
for name in names:
    try:
        importlib.import_module(name)
    except BaseException as error:
        raise SystemExit(f'{name}: {error!r}')
print(len(names), 'modules')
"""


@pytest.mark.slow
def test_every_module_imports_without_what_only_linux_has(tmp_path):
    (tmp_path / 'imports.py').write_text(SCRIPT)
    said = run(tmp_path, '-W', 'ignore', 'imports.py')
    count, word = said.split()[-2:]
    assert word == 'modules'
    assert int(count) > 50
