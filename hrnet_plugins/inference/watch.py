"""Notice that a module changed: other tensors, other values, other submodules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from operator import attrgetter, is_
from typing import Any

from torch import Tensor, nn


class Watch:
    """The state of a module at one moment, cheap to compare with its state later.

    It sees every in-place write that autograd's version counters see (optimizer steps, ``load_state_dict``, ``copy_``),
    tensors and submodules that were exchanged, added or removed, and moves to another device or precision. Writes
    through ``tensor.data`` leave no trace, in PyTorch itself neither.

    Args:
        module: What to watch.
    """

    def __init__(self, module: nn.Module) -> None:
        children = list(module.modules())
        self._tables: list[dict[str, Any]] = [t for m in children for t in (m._modules, m._parameters, m._buffers)]
        self._entries = list(_values(self._tables))
        tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
        self._tensors = tensors
        self._counted = [t for t in tensors if not t.is_inference()]  # the others have no counter
        self._marks = self._marks_now()

    def changed(self) -> bool:
        """Whether anything is different now."""
        # In C loops: a forward on a GPU takes milliseconds, and there are thousands of entries.
        return (
            sum(map(len, self._tables)) != len(self._entries)
            or not all(map(is_, _values(self._tables), self._entries))
            or self._marks_now() != self._marks
        )

    def _marks_now(self) -> tuple[list[int], list[int]]:
        return list(map(_version, self._counted)), list(map(Tensor.data_ptr, self._tensors))


_version = attrgetter('_version')


def _values(tables: list[dict[str, Any]]) -> Iterator[Any]:
    return chain.from_iterable(table.values() for table in tables)
