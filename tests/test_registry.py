"""Members are found by scoped name from every framework's scope, with no import of ours before, and no framework."""

import subprocess
import sys

import pytest

MEMBERS = {
    'MODELS': dict(type='hrnet_plugins.BatchOrientedPad', long_side=64, short_side=48),
    'TRANSFORMS': dict(type='hrnet_plugins.RandomResizeCrop'),
    'HOOKS': dict(type='hrnet_plugins.SyncBNFallbackHook'),
}
FOUND = {'FUNCTIONS': 'hrnet_plugins.zip_collate', 'MODEL_WRAPPERS': 'hrnet_plugins.AnyDeviceDDP'}
BUILD = """
import mmengine.registry
mmengine.registry.init_default_scope({scope!r})
for registry, cfg in {members}.items():
    member = getattr(mmengine.registry, registry).build(cfg)
    assert type(member).__module__.startswith('hrnet_plugins.'), member
for registry, name in {found}.items():
    assert getattr(mmengine.registry, registry).get(name).__module__.startswith('hrnet_plugins.'), name
"""
IMPORT = """
import sys
import hrnet_plugins.registry as ours
for registry in (value for value in vars(ours).values() if isinstance(value, ours.Registry)):
    registry.import_from_location()
print(sorted({'mmdet', 'mmseg', 'mmpretrain'} & set(sys.modules)))
"""


def python(code):
    run = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmpretrain'])
def test_built_from_every_scope(scope):
    python(BUILD.format(scope=scope, members=MEMBERS, found=FOUND))


def test_importing_every_member_imports_no_framework():
    assert python(IMPORT).splitlines()[-1] == '[]'
