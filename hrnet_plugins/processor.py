"""What the processor is, and what it is fast at."""

from __future__ import annotations

import os
import platform
from pathlib import Path

INSTRUCTION_SETS = (
    *('sse4_2', 'avx', 'avx2', 'fma', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'avx512_fp16'),
    *('amx_tile', 'amx_int8', 'amx_bf16', 'asimd', 'asimddp', 'i8mm', 'bf16', 'sve', 'sve2'),
)
"""Those for which PyTorch's and oneDNN's kernels differ, as Linux names them on x86 and ARM."""


def cpu_name() -> str:
    """The model of the processor, or its kind (such as ``x86_64``) where the system does not tell."""
    fields = _cpu_fields()
    return fields.get('model name') or platform.processor() or platform.machine()


def instruction_sets() -> tuple[str, ...]:
    """Those of ``INSTRUCTION_SETS`` that the processor has; none where the system does not tell, as outside Linux."""
    fields = _cpu_fields()
    flags = {*fields.get('flags', '').split(), *fields.get('Features', '').split()}  # on x86, on ARM
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


def is_faster_in_bf16() -> bool:
    """True when the processor multiplies faster in bfloat16 than in float32, and oneDNN may use that.

    AMX does, ARM's instructions and AMD's AVX512_BF16 (an EPYC: 418 GFLOPS, 188 in float32, on two cores). Intel's
    AVX512_BF16 alone does not (a Xeon: 84 GFLOPS, 162 in float32, on one). With AVX512 and no more oneDNN imitates
    bfloat16 in float32. ``ONEDNN_MAX_CPU_ISA`` hides instructions from it.
    """
    import torch  # noqa: PLC0415, importing this file must stay quick

    limit = _onednn_limit()
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported() or limit in ('AVX512_CORE', 'AVX512_CORE_VNNI'):
        return False
    known = instruction_sets()
    if not known:
        return True
    by_amx = 'amx_bf16' in known and (limit in ('ALL', 'DEFAULT') or 'AMX' in limit)
    by_avx512 = 'avx512_bf16' in known and _cpu_fields().get('vendor_id') == 'AuthenticAMD'
    return by_amx or by_avx512 or 'bf16' in known


def has_only_avx2() -> bool:
    """True for an x86 processor without AVX512, or where oneDNN may not use that (``ONEDNN_MAX_CPU_ISA``)."""
    import torch  # noqa: PLC0415, importing this file must stay quick

    capability = torch.backends.cpu.get_cpu_capability()
    return capability == 'AVX2' or (capability.startswith('AVX') and _onednn_limit().startswith('AVX2'))


def _onednn_limit() -> str:
    return os.environ.get('ONEDNN_MAX_CPU_ISA', os.environ.get('DNNL_MAX_CPU_ISA', 'ALL')).upper()


def _cpu_fields() -> dict[str, str]:
    """What Linux says of the first processor, by the field's name; nothing elsewhere."""
    try:
        text = Path('/proc/cpuinfo').read_text()
    except OSError:
        return {}
    fields = (line.partition(':') for line in text.partition('\n\n')[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}
