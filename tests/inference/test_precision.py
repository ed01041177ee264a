"""What processors without certain instructions do; oneDNN hides them where it is told to."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

from hrnet_plugins import environment
from hrnet_plugins.inference import precision

CODE = """
    import torch
    from mmengine.logging import MMLogger
    from hrnet_plugins.environment import has_bf16_instructions
    from hrnet_plugins.inference import accelerate
    from tests.helpers.accelerated import DETECTORS, assert_same, built
    from tests.helpers.networks import image

    MMLogger.get_instance('test', log_level='INFO')
    print('instructions', has_bf16_instructions())
    for name in ('tiny', 'fpn', 'group norm'):
        plain = built(name)
        fast = accelerate(plain, dtype='bf16')
        for size in ((1, 64, 96), (2, 97, 131)):
            assert_same(fast, plain, image((size[0], 3, *size[1:])))
        fast = accelerate(plain, dtype='bf16', log_difference=True)
        assert fast(image((1, 3, 64, 64)).bfloat16())[0].dtype == torch.bfloat16
    detector = DETECTORS['faster']().eval()
    assert accelerate(detector, dtype='bf16').extract_feat(image((1, 3, 256, 256)))[0].dtype == torch.float32
    print('exact')
"""


@pytest.mark.parametrize('isa', ['AVX2', 'AVX512_CORE'])
def test_bf16_becomes_float32_on_a_cpu_without_its_instructions(isa):
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(CODE)],
        env={**os.environ, 'ONEDNN_MAX_CPU_ISA': isa},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = done.stdout + done.stderr
    assert 'instructions False' in lines and 'exact' in lines, lines
    assert 'This CPU has no instructions for bfloat16, so the accelerated model computes in float32' in lines
    assert '(eager, torch.float32)' in lines, 'the log states the precision that is used'


@pytest.mark.parametrize(
    ('sets', 'onednn', 'limit', 'has'),
    [
        (('avx2',), False, None, False),
        (('avx2', 'avx512f'), True, None, False),  # oneDNN imitates it
        (('avx2', 'avx512f', 'avx512_bf16'), True, None, True),
        (('avx2', 'avx512f', 'amx_bf16'), True, 'avx512_core_amx', True),
        (('avx2', 'avx512f', 'avx512_bf16'), True, 'avx512_core', False),
        (('avx2', 'avx512f', 'avx512_bf16'), False, 'AVX2', False),
        (('asimd', 'bf16'), True, None, True),
        (('asimd',), False, None, False),
        ((), True, None, True),  # a system that does not tell
    ],
)
def test_instructions_are_what_the_processor_has_and_onednn_may_use(monkeypatch, sets, onednn, limit, has):
    monkeypatch.setattr(environment, 'instruction_sets', lambda: sets)
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: onednn)
    monkeypatch.delenv('DNNL_MAX_CPU_ISA', raising=False)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if limit:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', limit)
    assert environment.has_bf16_instructions() is has


@pytest.mark.parametrize(
    ('sets', 'limit', 'faster'),
    [
        (('avx2', 'avx512f', 'avx512_bf16'), None, False),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), None, True),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), 'avx512_core_bf16', False),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), 'avx512_core_amx', True),
        (('avx2',), None, False),
        (('asimd', 'bf16'), None, True),
        ((), None, True),  # a system that does not tell
    ],
)
def test_amx_and_arm_are_faster_in_bf16(monkeypatch, sets, limit, faster):
    monkeypatch.setattr(environment, 'instruction_sets', lambda: sets)
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: True)
    monkeypatch.delenv('DNNL_MAX_CPU_ISA', raising=False)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if limit:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', limit)
    assert environment.is_faster_in_bf16() is faster


def test_other_precisions_and_gpus_stay_as_asked(monkeypatch):
    monkeypatch.setattr(precision, 'has_bf16_instructions', lambda: False)
    assert precision.precision_on(torch.device('cpu'), torch.float32) == torch.float32
    assert precision.precision_on(torch.device('cuda', 0), torch.bfloat16) == torch.bfloat16
    assert precision.precision_on(torch.device('cpu'), torch.bfloat16) == torch.float32
