"""What processors without certain instructions do; oneDNN hides them where it is told to."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch

from hrnet_plugins.inference import precision

CODE = """
    import torch
    from mmengine.logging import MMLogger
    from hrnet_plugins.processor import is_faster_in_bf16
    from hrnet_plugins.inference import accelerate
    from tests.helpers.accelerated import DETECTORS, assert_same, built
    from tests.helpers.networks import image

    MMLogger.get_instance('test', log_level='INFO')
    print('faster', is_faster_in_bf16())
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
    assert 'faster False' in lines and 'exact' in lines, lines
    assert 'This CPU has no fast instructions for bfloat16, so the accelerated model computes in float32' in lines
    assert '(eager, torch.float32)' in lines, 'the log states the precision that is used'


def test_other_precisions_and_gpus_stay_as_asked(monkeypatch):
    monkeypatch.setattr(precision, 'is_faster_in_bf16', lambda: False)
    assert precision.precision_on(torch.device('cpu'), torch.float32) == torch.float32
    assert precision.precision_on(torch.device('cuda', 0), torch.bfloat16) == torch.bfloat16
    assert precision.precision_on(torch.device('cpu'), torch.bfloat16) == torch.float32
