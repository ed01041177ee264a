"""What the processor is said to be, and to be fast at."""

import platform
from pathlib import Path

import pytest
import torch

from hrnet_plugins import processor

X86 = 'processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu sse4_2 avx2 avx512f fma\n\nprocessor\t: 1\n'
ARM = 'processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd bf16 sve\nCPU part\t: 0xd40\n\n'
AMD, INTEL = 'AuthenticAMD', 'GenuineIntel'


@pytest.fixture
def cpuinfo(monkeypatch):
    """A function that makes Linux say this of the processors, or nothing at all."""
    read = Path.read_text

    def say(text):
        def read_text(path, *args, **kwargs):
            if str(path) != '/proc/cpuinfo':
                return read(path, *args, **kwargs)
            if text is None:
                raise FileNotFoundError(path)
            return text

        monkeypatch.setattr(Path, 'read_text', read_text)

    return say


@pytest.mark.parametrize(
    ('text', 'name', 'sets'),
    [
        (X86, 'Some CPU @ 2.00GHz', ('sse4_2', 'avx2', 'fma', 'avx512f')),
        (ARM, None, ('asimd', 'bf16', 'sve')),
        (None, None, ()),
    ],
    ids=['x86', 'arm', 'elsewhere'],
)
def test_cpu(text, name, sets, cpuinfo):
    cpuinfo(text)
    assert processor.cpu_name() == (name or platform.processor() or platform.machine())
    assert processor.instruction_sets() == sets


@pytest.mark.parametrize(
    ('sets', 'vendor', 'onednn', 'limit', 'faster'),
    [
        (('avx2',), INTEL, False, None, False),
        (('avx2', 'avx512f'), INTEL, True, None, False),  # oneDNN imitates it
        (('avx2', 'avx512f', 'avx512_bf16'), INTEL, True, None, False),
        (('avx2', 'avx512f', 'avx512_bf16'), AMD, True, None, True),
        (('avx2', 'avx512f', 'avx512_bf16'), AMD, True, 'avx512_core', False),
        (('avx2', 'avx512f', 'avx512_bf16'), AMD, False, 'AVX2', False),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), INTEL, True, None, True),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), INTEL, True, 'avx512_core_bf16', False),
        (('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16'), INTEL, True, 'avx512_core_amx', True),
        (('asimd', 'bf16'), None, True, None, True),
        (('asimd',), None, False, None, False),
        ((), None, True, None, True),  # a system that does not tell
    ],
)
def test_faster_is_what_the_processor_multiplies_faster_and_onednn_may_use(
    monkeypatch, sets, vendor, onednn, limit, faster
):
    fields = {'flags': ' '.join(sets)} | ({'vendor_id': vendor} if vendor else {})
    monkeypatch.setattr(processor, '_cpu_fields', lambda: fields)
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: onednn)
    monkeypatch.delenv('DNNL_MAX_CPU_ISA', raising=False)
    monkeypatch.delenv('ONEDNN_MAX_CPU_ISA', raising=False)
    if limit:
        monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', limit)
    assert processor.is_faster_in_bf16() is faster
