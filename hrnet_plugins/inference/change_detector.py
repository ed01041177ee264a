"""Detect that a module changed: its tensors, their values, or its submodules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from operator import attrgetter, is_
from typing import Any

from torch import Tensor, nn


class ChangeDetector:
    """Remembers the state of a module, and tells later, at little cost, whether the state is different.

    It notices every in-place write that autograd's version counters notice (optimizer steps, ``load_state_dict``,
    ``copy_``), tensors and submodules that were replaced, added or removed, and moves to another device or precision.
    It does not notice writes through ``tensor.data``, which PyTorch does not count either.

    Args:
        module: The module to remember.
    """

    def __init__(self, module: nn.Module) -> None:
        children = list(module.modules())
        self._tables: list[dict[str, Any]] = [t for m in children for t in (m._modules, m._parameters, m._buffers)]
        self._entries = list(_values(self._tables))
        tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
        self._tensors = tensors
        self._counted = [t for t in tensors if not t.is_inference()]  # inference tensors have no version counter
        self._versions = self._current_versions()

    def changed(self) -> bool:
        """True when anything is different from the remembered state."""
        # In C loops: a forward on a GPU takes milliseconds, and there are thousands of entries.
        return (
            sum(map(len, self._tables)) != len(self._entries)
            or not all(map(is_, _values(self._tables), self._entries))
            or self._current_versions() != self._versions
        )

    def _current_versions(self) -> tuple[list[int], list[int]]:
        """Version counters and memory addresses of the tensors."""
        return list(map(_version, self._counted)), list(map(Tensor.data_ptr, self._tensors))


_version = attrgetter('_version')


def _values(tables: list[dict[str, Any]]) -> Iterator[Any]:
    return chain.from_iterable(table.values() for table in tables)
