"""Where the time of a forward goes, by kind of operation."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

KINDS = {
    'convolutions': ('conv', 'cudnn', 'fprop'),
    'matrix products': ('aten::mm', 'bmm', 'addmm', 'gemm'),
    'resizing': ('upsample', 'interpolate'),
    'pooling': ('pool',),
    'norms': ('batch_norm', 'native_batch'),
    'layout and precision': ('copy', 'reorder', 'contiguous', '_to_copy', 'cat'),
    'sums and activations': ('add', 'relu', 'mul', 'threshold', 'clamp'),
}
"""What an operation's name holds, the first that fits."""


@torch.no_grad()
def shares(run: Callable[[], object], device: str) -> dict[str, float]:
    """Parts of the time that operations take by themselves, the greatest first; on a GPU, of its kernels' time."""
    cuda = device == 'cuda'
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    run()
    with profile(activities=activities, acc_events=True) as found:
        run()
    times: dict[str, float] = {}
    for event in found.key_averages():
        if cuda and event.device_type != DeviceType.CUDA:
            continue  # it counts its kernels again
        own = event.self_device_time_total if cuda else event.self_cpu_time_total
        name = event.key.lower()
        kind = next((kind for kind, words in KINDS.items() if any(word in name for word in words)), 'other')
        times[kind] = times.get(kind, 0.0) + own
    total = sum(times.values())
    return {kind: round(own / total, 3) for kind, own in sorted(times.items(), key=lambda item: -item[1])}
