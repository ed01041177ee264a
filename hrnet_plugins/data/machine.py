"""The machine that a config is written for."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """What decides batch, size and precision.

    Args:
        cores: Processor cores that this process may use.
        gpu: Name of the GPU; empty without one.
        memory_gb: Memory of the GPU in units of 1e9 bytes.
        bf16: Whether the GPU computes in bfloat16.
    """

    cores: int = 1
    gpu: str = ''
    memory_gb: float = 0.0
    bf16: bool = False

    @classmethod
    def here(cls) -> Machine:
        """This machine, with its first GPU."""
        import torch  # noqa: PLC0415, it is slow to import

        cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
        if not torch.cuda.is_available():
            return cls(cores)
        found = torch.cuda.get_device_properties(0)
        return cls(cores, found.name, found.total_memory / 1e9, torch.cuda.is_bf16_supported())

    @property
    def workers(self) -> int:
        """Processes that load data: on two cores one, as the training has threads of its own."""
        return max(1, min(8, self.cores // 2))

    def __str__(self) -> str:
        return f'{self.gpu}, {self.memory_gb:.0f} GB' if self.gpu else f'{self.cores} CPU cores'
