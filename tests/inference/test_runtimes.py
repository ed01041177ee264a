"""The other runtimes: their files, and the backends of the same name."""

import importlib.util
from dataclasses import replace

import onnx
import openvino
import pytest
import torch
from torch import nn
from torch._inductor import aoti_load_package

from hrnet_plugins.inference import EXPORT_FORMATS, Part
from hrnet_plugins.inference.exporting import TOLERANCE, compare, export, write
from hrnet_plugins.inference.runtimes.backends import BACKENDS, compile_of
from hrnet_plugins.inference.tracing import trace
from hrnet_plugins.models import HRFPN, HRNet
from hrnet_plugins.processor import is_faster_in_bf16
from tests.helpers.networks import TINY, assert_equal, fill, image

RUNTIMES = [
    ('openvino', torch.float32, TOLERANCE),
    ('openvino', torch.bfloat16, 3e-2),
    ('onnxruntime', torch.float32, TOLERANCE),
    pytest.param('inductor', torch.float32, TOLERANCE, marks=pytest.mark.slow),
    pytest.param('inductor', torch.bfloat16, 3e-2, marks=pytest.mark.slow),
]


class Halve(nn.Module):
    """The smallest thing with a batch norm to fuse."""

    def __init__(self):
        super().__init__()
        self.step = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))

    def forward(self, images):
        return (self.step(images) / 2,)


def tiny():
    return Part(fill(Halve()).eval(), ('half',), 'half', channels=3)


@pytest.fixture(scope='module')
def pyramid():
    backbone = HRNet(TINY)
    model = fill(nn.Sequential(backbone, HRFPN(backbone.out_channels, 16))).eval()
    sizes = ((1, 320, 320), (3, 256, 288), (8, 257, 331))
    return Part(model, tuple('abcde'), 'backbone + neck', channels=3, min_size=256, checked=sizes)


@pytest.mark.parametrize(('backend', 'dtype', 'tolerance'), RUNTIMES)
def test_backends_give_the_models_outputs(backend, dtype, tolerance, pyramid):
    run = compile_of(backend)(pyramid, dtype)
    below = (1, 96, 67)  # PyTorch's part of the work
    errors = compare(
        lambda x: tuple(out.float() for out in run(x)), replace(pyramid, checked=(*pyramid.checked, below))
    )
    assert max(errors.values()) <= tolerance, errors
    x = image((2, 3, 256, 256)).contiguous(memory_format=torch.channels_last)
    for a, b in zip(run(x), run(x.contiguous()), strict=True):
        assert torch.equal(a, b), 'in any memory layout'


def test_openvino_computes_in_the_precision_asked_for():
    part = tiny()
    x = image((2, 3, 64, 64))
    expected = part.module(x)[0]
    exact = compile_of('openvino')(part, torch.float32)(x)[0]
    rough = compile_of('openvino')(part, torch.bfloat16)(x)[0]
    assert_equal(exact, expected, 1e-5)
    assert_equal(rough, expected, 3e-2)
    if is_faster_in_bf16():
        assert (rough - expected).abs().max() > 10 * (exact - expected).abs().max()
    else:
        assert torch.equal(rough, exact)


@pytest.mark.parametrize(
    ('backend', 'dtype', 'known'),
    [
        ('openvino', torch.float16, 'torch.float32, torch.bfloat16'),
        ('onnxruntime', torch.bfloat16, 'torch.float32'),
        ('inductor', torch.float64, 'torch.float32, torch.bfloat16, torch.float16'),
    ],
)
def test_precisions_a_runtime_lacks_are_named(backend, dtype, known):
    with pytest.raises(ValueError, match=rf"`dtype` \({dtype}\) is not what backend='{backend}' .* known: {known}$"):
        compile_of(backend)(tiny(), dtype)


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime'])
def test_cpu_runtimes_refuse_other_devices(backend):
    part = replace(tiny(), module=Halve().to('meta'))
    with pytest.raises(ValueError, match=r'runs on the CPU, the model is on meta: move it'):
        compile_of(backend)(part, torch.float32)


def test_backends_say_what_to_install(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'openvino' else find(name))
    with pytest.raises(ValueError, match=r"`backend` \('openvino'\) needs openvino: pip install"):
        compile_of('openvino')
    assert set(BACKENDS) == {'eager', 'inductor', 'onnxruntime', 'openvino'}


FACTS = {'recipe': 'digits', 'mean': '[127.5, 127.5, 127.5]'}


def test_openvino_files_hold_weights_and_facts(pyramid, tmp_path):
    path = tmp_path / 'model.xml'
    done = write(pyramid, path, EXPORT_FORMATS['openvino'], facts=FACTS)
    assert max(done.errors.values()) <= TOLERANCE
    assert sorted(p.name for p in tmp_path.iterdir()) == ['model.bin', 'model.xml']
    assert f'{path}, {tmp_path / "model.bin"}: OpenVINO IR of ' in str(done)
    model = openvino.Core().read_model(path)
    assert {key: model.get_rt_info(['hrnet_plugins', key]).astype(str) for key in FACTS} == FACTS
    assert [port.any_name for port in (*model.inputs, *model.outputs)] == ['images', *'abcde']
    x = image((3, 3, 263, 301), seed=1)  # a size that was not checked
    results = openvino.Core().compile_model(model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})([x.numpy()])
    with torch.no_grad():
        for name, b in zip('abcde', pyramid.module(x), strict=True):
            assert_equal(torch.from_numpy(results[name]), b, TOLERANCE)


@pytest.mark.filterwarnings('ignore:.*istutils')  # torch asks it for the C++ compiler's flags on Python 3.10
@pytest.mark.parametrize('kind', ['small', pytest.param('pyramid', marks=pytest.mark.slow)])
def test_pt2_packages_hold_weights_and_facts(kind, pyramid, tmp_path):
    part = tiny() if kind == 'small' else pyramid
    done = write(part, tmp_path / 'model.pt2', EXPORT_FORMATS['pt2'], facts=FACTS)
    assert max(done.errors.values()) <= TOLERANCE
    assert [p.name for p in tmp_path.iterdir()] == ['model.pt2']
    package = aoti_load_package(str(tmp_path / 'model.pt2'))
    assert FACTS.items() <= package.get_metadata().items()
    x = image((4, 3, 263, 301), seed=1)
    with torch.no_grad():
        for a, b in zip(package(x), part.module(x), strict=True):
            assert_equal(a, b, TOLERANCE)


def test_pt2_without_a_compiler_says_so(tmp_path):
    with (
        torch._inductor.config.patch({'cpp.cxx': ('no-such-compiler',)}),
        pytest.raises(ValueError, match=r'Inductor needs a C\+\+ compiler: install g\+\+, or name one in CXX'),
    ):
        write(tiny(), tmp_path / 'model.pt2', EXPORT_FORMATS['pt2'], facts={})
    assert not list(tmp_path.iterdir())


def test_batch_norms_are_fused_before_tracing(tmp_path):
    write(tiny(), tmp_path / 'model.onnx', EXPORT_FORMATS['onnx'], facts={})
    operations = {node.op_type for node in onnx.load(tmp_path / 'model.onnx').graph.node}
    assert 'BatchNormalization' not in operations


def test_pyramids_pool_as_the_runtimes_know_it(pyramid):
    targets = [str(node.target) for node in trace(pyramid).graph.nodes]
    assert targets.count('aten.avg_pool2d.default') == 4
    assert not any('unfold' in target for target in targets)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`out` \(.*model.onnx\) of `format` \('openvino'\) must end in .xml"):
        export('hrnet-w18_100e_in1k', 'a.pth', format='openvino', out=tmp_path / 'model.onnx')
