"""What importing the room brings: no framework, and no optional package outside of its own runtime."""

from pathlib import Path

import pytest

import hrnet_plugins.inference
from tests.helpers.processes import run

ROOM = Path(hrnet_plugins.inference.__file__).parent
OWN = {'runtimes.onnx': {'onnx', 'onnxruntime'}, 'runtimes.openvino': {'openvino'}}
"""Optional packages by the one module that imports them."""
MODULES = ['.'.join(path.relative_to(ROOM).with_suffix('').parts) for path in sorted(ROOM.rglob('[!_]*.py'))]
SCRIPT = """
import sys
import {modules}
print(sorted(set(sys.modules) & {{'onnx', 'onnxscript', 'onnxruntime', 'openvino', 'mmdet', 'mmseg', 'mmpretrain'}}))
print([name for name in sys.modules if name.startswith('hrnet_plugins.inference')])
"""


def imported(folder, names):
    """Optional packages, and modules of the room, that a fresh Python has after importing some modules of the room."""
    script = folder / 'script.py'
    script.write_text(SCRIPT.format(modules=', '.join(f'hrnet_plugins.inference{name}' for name in names)))
    optional, room = run(folder, '-W', 'ignore', script).splitlines()[-2:]
    return set(eval(optional)), set(eval(room))  # noqa: S307, two lists of names


def test_the_room_imports_no_optional_package(tmp_path):
    optional, room = imported(tmp_path, [f'.{name}' for name in MODULES if name not in OWN])
    assert optional == set()
    assert not {f'hrnet_plugins.inference.{name}' for name in OWN} & room


@pytest.mark.parametrize('name', OWN)
def test_a_runtime_imports_its_own_package_alone(name, tmp_path):
    assert imported(tmp_path, [f'.{name}'])[0] == OWN[name]


def test_the_door_imports_what_accelerating_needs_and_no_more(tmp_path):
    _, room = imported(tmp_path, [''])
    assert not {f'hrnet_plugins.inference.{name}' for name in ('exporting', 'exportable', 'tracing')} & room


@pytest.mark.parametrize('name', hrnet_plugins.inference.__all__)
def test_public_names_are_there(name):
    assert name in dir(hrnet_plugins.inference)
    assert getattr(hrnet_plugins.inference, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'hrnet_plugins.inference' has no attribute 'FORMATS'"):
        hrnet_plugins.inference.FORMATS  # noqa: B018
