"""Running a function as soon as another package is imported, without importing it."""

from __future__ import annotations

import importlib
import importlib.util
import sys

TYPE_CHECKING = False  # as in ``hrnet_plugins``
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def when_imported(name: str, module: str, function: str) -> None:
    """Call a function with a module once that is imported: now, if it is there.

    wrapt's ``register_post_import_hook`` does the same, but importing wrapt takes longer than all of this package, as
    it imports asyncio.

    Args:
        name: The module to wait for.
        module: Where the function is; imported when it is called.
        function: The function's name.
    """
    if name in sys.modules:
        getattr(importlib.import_module(module), function)(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Watcher(name, module, function))


class _Watcher:
    """A finder that lets the other finders find a module, and calls the function after it has run. Then it leaves."""

    def __init__(self, name: str, module: str, function: str) -> None:
        self.name = name
        self.module = module
        self.function = function
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``; only one thread at a time imports a module."""
        if fullname != self.name or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            getattr(importlib.import_module(self.module), self.function)(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # this module's own loader
        return spec
